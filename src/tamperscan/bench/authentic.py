"""False alarms: a detector on whole authentic scans that nothing of it was made of."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from tamperscan.bench.metrics import CONFIDENCE, Estimate, auc_estimate, share_estimate
from tamperscan.detect.acquisition import measure_acquisition
from tamperscan.detect.calibrating import fit_on
from tamperscan.detect.detector import Detector
from tamperscan.detect.ground import reasons_to_abstain
from tamperscan.detect.heads import Head
from tamperscan.detect.likeness import kernel_class
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.measured import MeasuredScan, measure_scan, scores_of
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights
from tamperscan.scan import Scan

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.5)
_SCANNER = ("Manufacturer", "ManufacturerModelName")


@dataclass(frozen=True)
class ScanOutcome:
    """What came of screening one authentic scan.

    Attributes
    ----------
    patient, name
        Whose it is, and its name.
    slices
        Number of slices.
    verdict, score, p_value
        As in the screening; NaN and None where it abstained.
    scanner, kernel
        Manufacturer and model, and the kernel's name, as far as the header tells them.
    measured_kernel
        ``"sharp"``, ``"soft"`` or ``"unknown"``, from the pixels.
    slice_mm
        Distance between slices.
    reason
        Why it abstained, empty if it did not.
    """

    patient: str
    name: str
    slices: int
    verdict: str
    score: float
    p_value: float | None
    scanner: str
    slice_mm: float
    reason: str = ""
    kernel: str = ""
    measured_kernel: str = "unknown"


@dataclass(frozen=True)
class FalseAlarms:
    """How many authentic scans are alarms at a level.

    Attributes
    ----------
    level
        Scans with p-values at or under it are alarms.
    alarms, scans
        Alarms, and scans that were judged.
    by_scan
        Share of scans, with the exact binomial interval as if all scans were independent.
    by_patient
        Share with patients counting alike, with a bootstrap interval over patients.
    """

    level: float
    alarms: int
    scans: int
    by_scan: Estimate
    by_patient: Estimate


@dataclass(frozen=True)
class SeenEffect:
    """Whether patients that the network was trained on score lower than others.

    Attributes
    ----------
    seen, unseen
        Number of patients.
    auc
        Chance that a slice of an unseen patient outscores one of a seen patient, each scored by a typicality fitted
        without its patient; patients count alike. 0.5 is no difference.
    seen_median, unseen_median
        Medians over patients of their mean slice score.
    """

    seen: int
    unseen: int
    auc: Estimate
    seen_median: float
    unseen_median: float


@dataclass(frozen=True)
class AuthenticResult:
    """A detector's false alarms.

    Attributes
    ----------
    detector, weights_sha256
        Name, and hash of the weights.
    calibration_patients
        Authentic patients behind the p-values.
    scans
        What came of each scan.
    false_alarms
        At each of `LEVELS`.
    not_held_out
        Scans that the detector's card says were trained or calibrated on: there should be none.
    seen
        None if it was not asked for.
    """

    detector: str
    weights_sha256: str
    calibration_patients: int
    scans: tuple[ScanOutcome, ...]
    false_alarms: tuple[FalseAlarms, ...]
    not_held_out: tuple[str, ...]
    seen: SeenEffect | None


def measure_scans(detector: Detector, patients: Iterable[tuple[str, Scan]]) -> list[ScanOutcome]:
    """Screen whole scans of (patient, scan)."""
    return [_screened(detector, patient, scan) for patient, scan in patients]


def summarise(
    detector: Detector,
    outcomes: Sequence[ScanOutcome],
    *,
    not_held_out: tuple[str, ...] = (),
    seen: SeenEffect | None = None,
) -> AuthenticResult:
    """Count the false alarms."""
    return AuthenticResult(
        detector=detector.name,
        weights_sha256=detector.weights.sha256,
        calibration_patients=len(detector.calibration.scan_scores),
        scans=tuple(outcomes),
        false_alarms=tuple(count_alarms(outcomes, level) for level in LEVELS),
        not_held_out=not_held_out,
        seen=seen,
    )


def count_alarms(outcomes: Sequence[ScanOutcome], level: float) -> FalseAlarms:
    """Count the scans whose p-value is at or under a level; abstained scans are left out."""
    judged = [(outcome.patient, outcome.p_value) for outcome in outcomes if outcome.p_value is not None]
    alarms = [p_value <= level for _, p_value in judged]
    return FalseAlarms(
        level=level,
        alarms=sum(alarms),
        scans=len(alarms),
        by_scan=exact_binomial(sum(alarms), len(alarms)),
        by_patient=share_estimate(alarms, [patient for patient, _ in judged], alike=True),
    )


def exact_binomial(hits: int, count: int) -> Estimate:
    """Return a share with its exact 95 % interval (Clopper and Pearson, Biometrika 26, 1934)."""
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan)
    tail = (1.0 - CONFIDENCE) / 2.0
    low = float(special.betaincinv(hits, count - hits + 1, tail)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, count - hits, 1.0 - tail)) if hits < count else 1.0
    return Estimate(hits / count, low, high)


def seen_effect(weights: Weights, parts: Iterable[tuple[str, str, Scan]]) -> SeenEffect:
    """Compare the scores of patients that were trained on with those of patients that were not.

    Parameters
    ----------
    weights
        The detector's.
    parts
        (part, patient, scan); the part ``"train"`` was trained on.
    """
    meter = SliceMeter(NoisePredictor(weights), weights.card)
    measured: dict[tuple[str, str], list[MeasuredScan]] = defaultdict(list)
    for part, patient, scan in parts:
        if not reasons_to_abstain(scan, weights.card):
            measured[part, patient].append(measure_scan(meter, scan))
    scores = _left_out_scores({key: scans for key, scans in measured.items() if any(scan.slices for scan in scans)})
    seen = {patient: values for (part, patient), values in scores.items() if part == "train"}
    return compare_seen(seen, {patient: values for (part, patient), values in scores.items() if part != "train"})


def compare_seen(seen: Mapping[str, Sequence[float]], unseen: Mapping[str, Sequence[float]]) -> SeenEffect:
    """Compare slice scores by patient."""
    first, first_patients = _flat(unseen)
    second, second_patients = _flat(seen)
    return SeenEffect(
        seen=len(seen),
        unseen=len(unseen),
        auc=auc_estimate(first, second, first_patients, second_patients, positives_alike=True),
        seen_median=_median_of_means(seen),
        unseen_median=_median_of_means(unseen),
    )


def _screened(detector: Detector, patient: str, scan: Scan) -> ScanOutcome:
    screening = detector.screen(scan)
    return ScanOutcome(
        patient=patient,
        name=scan.name,
        slices=scan.shape[0],
        verdict=screening.verdict,
        score=screening.score,
        p_value=screening.p_value,
        scanner=" ".join(scan.metadata[name] for name in _SCANNER if scan.metadata.get(name)) or "not told",
        slice_mm=scan.spacing_mm[0],
        reason=screening.reasons[0] if screening.verdict == "abstained" else "",
        kernel=scan.metadata.get("ConvolutionKernel", ""),
        measured_kernel=kernel_class(measure_acquisition(scan)),
    )


def _left_out_scores(patients: Mapping[tuple[str, str], list[MeasuredScan]]) -> dict[tuple[str, str], list[float]]:
    """Score each patient's slices by a typicality fitted on all other patients."""
    scores = {}
    for left_out, scans in patients.items():
        typicality = fit_on({key: others for key, others in patients.items() if key != left_out})
        values = np.concatenate([scores_of(scan, Head("typicality", typicality)) for scan in scans])
        scores[left_out] = [float(value) for value in values if math.isfinite(value)]
    return {key: values for key, values in scores.items() if values}


def _flat(scores: Mapping[str, Sequence[float]]) -> tuple[list[float], list[str]]:
    pairs = [(value, patient) for patient, values in scores.items() for value in values]
    return [value for value, _ in pairs], [patient for _, patient in pairs]


def _median_of_means(scores: Mapping[str, Sequence[float]]) -> float:
    return float(np.median([np.mean(values) for values in scores.values()])) if scores else math.nan
