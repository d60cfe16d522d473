"""Make a detector of a trained predictor: learn what is typical, and count what authentic scans score."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import Acquisition, measure_acquisition
from tamperscan.detect.calibration import Calibration, calibration_file
from tamperscan.detect.detector import slice_scores
from tamperscan.detect.ground import off_ground, reasons_to_abstain
from tamperscan.detect.heads import COMBINATION_FILE, HEADS, TYPICALITY_FILE, Combination, Head, HeadName, heads_in
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.pooling import pool_slices
from tamperscan.detect.robust_calibration import ScoredScan, SetAside, calibrate_robustly
from tamperscan.detect.self_forged import SelfForgedNetwork, read_facts
from tamperscan.detect.statistics import WindowStatistics
from tamperscan.detect.typicality import Typicality, fit_typicality
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights, write_card
from tamperscan.errors import TrainingError
from tamperscan.scan.volume import Scan

Scored = dict[str, list[ScoredScan]]

_LEAST_PATIENTS = 5
# Beyond so many patients, several at a time are left out: fitting once a patient would take hours.
_MOST_FITS = 40


@dataclass(frozen=True, eq=False)
class MeasuredScan:
    """A scan's slices on the coarse grid.

    Attributes
    ----------
    name
        Name of the scan.
    slices
        Measurements of the slices that hold lung and were measured.
    spacing_mm
        Distance along (slice, row, column) between those slices' voxels.
    acquisition
        What its pixels say of how it was made; None if nobody asked.
    odds
        Log-odds of the same slices' places by the members of a self-forged head; empty without one.
    """

    name: str
    slices: tuple[WindowStatistics, ...]
    spacing_mm: tuple[float, float, float]
    acquisition: Acquisition | None = None
    odds: tuple[NDArray[np.float32], ...] = ()


def measure_scan(meter: SliceMeter, scan: Scan) -> MeasuredScan:
    """Measure all slices of a scan: screening takes the maximum over all of them, and so must calibration."""
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    own = meter.of(scan)
    slices, odds = [], []
    for image in scan.voxels:
        measured = own.measure(image, pixel_mm)
        if measured is not None:
            slices.append(measured.statistics)
            odds += [] if measured.odds is None else [measured.odds]
    return MeasuredScan(scan.name, tuple(slices), scan.spacing_mm, odds=tuple(odds))


def calibrate_weights(
    weights: Weights,
    scans: Iterable[tuple[str, Scan]],
    out: Path,
    *,
    on_scan: Callable[[str, str], None] = lambda name, outcome: None,
    on_set_aside: Callable[[SetAside], None] = lambda patient: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Weights:
    """Write a calibrated detector.

    Each patient is scored by a typicality that was fitted without it; the detector gets the one fitted on all. Patients
    who score far above the others might be tampered with: they are set aside, and the rest is learned from anew.

    Parameters
    ----------
    weights
        The trained predictor.
    scans
        (patient, scan) of authentic scans.
    out
        Folder of the detector; made if missing.
    on_scan
        Called with each scan's name and what came of it.
    on_set_aside
        Called with each patient who was set aside.
    progress
        Called with (patients scored, patients in all).

    Raises
    ------
    TrainingError
        If fewer than five patients have lungs that could be measured.
    """
    patients = _measure_all(weights, scans, on_scan)
    if len(patients) < _LEAST_PATIENTS:
        raise TrainingError(
            f"{len(patients)} patients with measurable lungs are too few to calibrate on: at least {_LEAST_PATIENTS}"
            " are needed, and 19 for an alarm rate of 0.05. Give more authentic scans."
        )
    fits = Fits(patients)
    made = _calibrate_heads(weights, patients, fits, progress)
    aside = {each.patient: each for own in made.values() for each in own.aside}
    for patient in aside.values():
        on_set_aside(patient)
    kept = {name: measured for name, measured in patients.items() if name not in aside}
    return write_calibrated(weights, out, fits.on(kept), made, _facts(kept, list(aside.values())))


def fit_on(patients: Mapping[Any, Sequence[MeasuredScan]]) -> Typicality:
    """Learn what is typical of patients' scans."""
    return fit_typicality([[each for scan in scans for each in scan.slices] for scans in patients.values()])


class Fits:
    """Typicalities by the patients that they were fitted on, each made once: every head asks for the same ones.

    Parameters
    ----------
    patients
        The measured scans of each patient.
    """

    def __init__(self, patients: Mapping[str, Sequence[MeasuredScan]]) -> None:
        self._patients = patients
        self._made: dict[tuple[str, ...], Typicality] = {}

    def on(self, names: Iterable[str]) -> Typicality:
        """Return what is typical of these patients."""
        key = tuple(names)
        if key not in self._made:
            self._made[key] = fit_on({name: self._patients[name] for name in key})
        return self._made[key]


@dataclass(frozen=True, eq=False)
class CalibratedHead:
    """A head's calibration.

    Attributes
    ----------
    calibration
        Of authentic patients.
    aside
        Patients that were set aside.
    combination
        How the head adds others; None where it does not.
    """

    calibration: Calibration
    aside: tuple[SetAside, ...] = ()
    combination: Combination | None = None


def combination_of(name: HeadName, made: Mapping[HeadName, CalibratedHead]) -> Combination | None:
    """Return how a head adds those that were calibrated before it; None where it adds none."""
    if name != "combined":
        return None
    return Combination(*(made[each].calibration.slice_spread for each in ("typicality", "self-forged")))


def write_calibrated(
    weights: Weights, out: Path, typicality: Typicality, made: Mapping[HeadName, CalibratedHead], facts: dict[str, Any]
) -> Weights:
    """Write a detector: the files of the weights, beside them what was learned and counted, and its card.

    Parameters
    ----------
    weights
        Of the predictor, with a self-forged head if that is among those that were calibrated.
    out
        Folder of the detector; made if missing.
    typicality
        Fitted on all patients.
    made
        Every calibrated head.
    facts
        What the card says of the calibration.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_json(out / TYPICALITY_FILE, typicality.as_dict())
    for head, own in made.items():
        _write_json(out / calibration_file(head), own.calibration.as_dict())
        if own.combination is not None:
            _write_json(out / COMBINATION_FILE, own.combination.as_dict())
    names = [name for name in weights.card.files if name not in _files_made(HEADS)]
    for name in names:
        if (out / name).resolve() != (weights.folder / name).resolve():
            shutil.copyfile(weights.folder / name, out / name)
    files = dict.fromkeys([*names, *_files_made(made)], "")
    return write_card(out, weights.card.model_copy(update={"files": files, "calibration": facts}))


def _calibrate_heads(
    weights: Weights,
    patients: Mapping[str, Sequence[MeasuredScan]],
    fits: Fits,
    progress: Callable[[int, int], None],
) -> dict[HeadName, CalibratedHead]:
    """Calibrate each head by patients that had no say in it."""
    made: dict[HeadName, CalibratedHead] = {}
    facts = read_facts(weights) if len(heads_in(weights)) > 1 else None
    for name in heads_in(weights):
        combination = combination_of(name, made)

        def score(kept: Sequence[str], name: HeadName = name, combination: Combination | None = combination) -> Scored:
            def head_for(patient: str, typicality: Typicality) -> Head:
                unseen = None if facts is None else facts.members_without(patient)
                return Head(name, typicality, unseen, combination)

            return score_patients(patients, kept, head_for, fits=fits, progress=progress)

        made[name] = CalibratedHead(*calibrate_robustly(list(patients), score), combination)
    return made


def _files_made(heads: Iterable[HeadName]) -> list[str]:
    """Name the files that calibrating these heads writes."""
    names = [TYPICALITY_FILE, *(calibration_file(head) for head in heads)]
    return [*names, COMBINATION_FILE] if "combined" in heads else names


def score_patients(
    patients: Mapping[str, Sequence[MeasuredScan]],
    learned_from: Sequence[str],
    head_for: Callable[[str, Typicality], Head],
    *,
    fits: Fits | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, list[ScoredScan]]:
    """Score every patient by a typicality that was fitted without it.

    Parameters
    ----------
    patients
        The measured scans of each patient.
    learned_from
        Patients that may be fitted on; the others are scored only.
    head_for
        Makes the head that scores a patient, of that typicality.
    fits
        Remembers typicalities of these patients from one head to the next; new if None.
    progress
        Called with (patients scored, patients in all).
    """
    fits = fits or Fits(patients)
    scored: dict[str, list[ScoredScan]] = {}
    for left_out in _groups(list(patients), _MOST_FITS):
        typicality = fits.on(name for name in learned_from if name not in left_out)
        for name in left_out:
            scored[name] = [_scored(scan, head_for(name, typicality)) for scan in patients[name]]
        progress(len(scored), len(patients))
    return scored


def scores_of(scan: MeasuredScan, head: Head) -> NDArray[np.float64]:
    """Return the highest suspicion of each measured slice, as screening does."""
    if not scan.slices:
        return np.empty(0)
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    odds: Sequence[NDArray[np.float32] | None] = scan.odds or (None,) * len(scan.slices)
    places = [
        head.evidence(statistics, own, pixel_mm).suspicion for statistics, own in zip(scan.slices, odds, strict=True)
    ]
    return slice_scores(pool_slices(np.stack(places), scan.spacing_mm[0]))


def _measure_all(
    weights: Weights, scans: Iterable[tuple[str, Scan]], on_scan: Callable[[str, str], None]
) -> dict[str, list[MeasuredScan]]:
    network = SelfForgedNetwork(weights) if len(heads_in(weights)) > 1 else None
    meter = SliceMeter(NoisePredictor(weights), weights.card, network)
    patients: dict[str, list[MeasuredScan]] = {}
    for patient, scan in scans:
        reasons = reasons_to_abstain(scan, weights.card)
        acquisition = None if reasons else measure_acquisition(scan)
        if acquisition is not None:
            reasons = off_ground(acquisition, ())
        measured = None if reasons else replace(measure_scan(meter, scan), acquisition=acquisition)
        if measured is None or not measured.slices:
            on_scan(scan.name, " ".join(reasons) or "no lung")
            continue
        patients.setdefault(patient, []).append(measured)
        on_scan(scan.name, f"{len(measured.slices)} slices")
    return patients


def _groups(names: list[str], most: int) -> list[list[str]]:
    """Divide names into at most so many groups, each of one while that is enough."""
    count = min(len(names), most)
    return [names[number::count] for number in range(count)]


def _scored(scan: MeasuredScan, head: Head) -> ScoredScan:
    if scan.acquisition is None:
        raise ValueError(f"{scan.name}: its acquisition was not measured")
    return ScoredScan(scan.name, scores_of(scan, head), scan.spacing_mm[0], scan.acquisition)


def _facts(patients: Mapping[str, Sequence[MeasuredScan]], aside: Sequence[SetAside]) -> dict[str, Any]:
    return {
        "patients": len(patients),
        "scans": [
            {"patient": patient, "name": scan.name, "slices": len(scan.slices)}
            for patient, measured in patients.items()
            for scan in measured
        ],
        "set_aside": [{"patient": each.patient, "name": each.scan} for each in aside],
    }


def _write_json(path: Path, plain: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(plain) + "\n")
    temporary.replace(path)
