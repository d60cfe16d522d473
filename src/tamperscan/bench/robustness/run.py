"""The laundering bench from the folders to its result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.ctgan import FALSE_ALARMS
from tamperscan.bench.labels import read_labels
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.robustness.averaging import AveragedResult, run_averaged
from tamperscan.bench.robustness.figures import (
    TreatmentResult,
    frozen_thresholds,
    share_of_scans,
    treatment_result,
)
from tamperscan.bench.robustness.measuring import Measurements, Outcome
from tamperscan.bench.robustness.subjects import TestSlice, at_most, authentic_slices, tampered_slices
from tamperscan.bench.robustness.treatments import TREATMENTS, Treatment
from tamperscan.bench.subjects import (
    CTGAN_FOLDER,
    detector_key,
    held_out_patients,
    load_headed,
    made_of,
    name_with_head,
)
from tamperscan.detect.detector import Detector
from tamperscan.detect.processing import find_traces
from tamperscan.errors import BenchError, ScanError, WeightsError

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class RobustnessRequest:
    """What to measure, and on what.

    Attributes
    ----------
    data, split
        Folder with ``ct/`` and ``ctgan/`` in it, and JSON of part to globs below ``ct/``.
    out
        Folder of the run; an ended run goes on from what it holds.
    detector, head
        A packaged detector or a folder, and which of its heads; None for its strongest.
    treatments
        Names of treatments; None for all.
    most
        Slices of a kind of each scan or patient at most; None for all.
    attacked
        Slices, tampered and as many authentic ones, that the gradient attack is made on; 0 for no attack.
    blocks
        Blocks of volumes for slice averaging; 0 for none.
    threads
        CPU threads; None for all.
    step, tell, on_error
        Called with the name of each part of the work, with lines for the user, and with what can't be read.
    """

    data: Path
    split: Path
    out: Path
    detector: str = "ct"
    head: str | None = None
    treatments: tuple[str, ...] | None = None
    most: int | None = None
    attacked: int = 8
    blocks: int = 8
    threads: int | None = None
    step: Step = lambda name: lambda done, total: None
    tell: Callable[[str], None] = lambda line: None
    on_error: Callable[[ScanError], None] = lambda error: None


@dataclass(frozen=True)
class RobustnessResult:
    """What laundering does to a detector.

    Attributes
    ----------
    detector, weights_sha256
        What was measured.
    false_alarms, thresholds
        Rates, and the slice scores that authentic calibration slices exceed at them.
    most
        Slices of each scan or patient at most; None for all.
    treatments, attacks
        By treatment. The gradient attacks were made on fewer slices, and are compared with the same ones untreated,
        which come first.
    averaged
        What slice averaging does to forged blocks of volumes; None if that was not measured.
    scans_recognised
        Whether processing was recognised, by mistake, in each untreated authentic test scan and tampered slice.
    false_recognitions
        Its share among test scans, tampered slices and both.
    not_held_out
        Test scans that the detector was made of: there should be none.
    """

    detector: str
    weights_sha256: str
    false_alarms: tuple[float, ...]
    thresholds: tuple[float, ...]
    most: int | None
    treatments: tuple[TreatmentResult, ...]
    attacks: tuple[TreatmentResult, ...]
    averaged: AveragedResult | None
    scans_recognised: Mapping[str, bool]
    false_recognitions: Mapping[str, Estimate]
    not_held_out: tuple[str, ...]


def run_robustness(request: RobustnessRequest) -> RobustnessResult:
    """Launder tampered and authentic slices in the same ways, and measure a detector on them.

    Raises
    ------
    BenchError
        If a treatment is not known, or the folder of the run can't be read.
    ScanError, WeightsError, TrainingError
        If the slices, the detector or the split can't be read.
    OutputError
        If the folder of the run can't be written.
    """
    chosen = _chosen(request.treatments)
    detector = load_headed(request.detector, request.head, threads=request.threads)
    if not isinstance(detector, Detector):
        raise WeightsError(f"{detector.name}: gives no verdicts. Give a calibrated detector.")
    thresholds = frozen_thresholds(detector.calibration)
    everything, recognised, names = _subjects(request)
    subjects = at_most(everything, request.most)
    measurements = Measurements(detector, detector_key(detector), request.out)
    results = _measured(measurements, subjects, chosen, thresholds, request)
    attacks: list[TreatmentResult] = []
    if request.attacked:
        attacks = _attacked(detector, measurements, subjects, thresholds, request)
    return RobustnessResult(
        detector=name_with_head(detector),
        weights_sha256=detector.weights.sha256,
        false_alarms=FALSE_ALARMS,
        thresholds=thresholds,
        most=request.most,
        treatments=tuple(results),
        attacks=tuple(attacks),
        averaged=run_averaged(detector, request.data, request.split, request.out, request.blocks, request.step)
        if request.blocks
        else None,
        scans_recognised=recognised,
        false_recognitions=_false_recognitions(recognised),
        not_held_out=tuple(sorted(made_of(detector.card) & names)),
    )


def _chosen(names: Sequence[str] | None) -> list[Treatment]:
    unknown = [name for name in names or () if name not in TREATMENTS]
    if unknown:
        raise BenchError(f"There is no treatment '{unknown[0]}'. Choose from {', '.join(TREATMENTS)}.")
    return [each for each in TREATMENTS.values() if names is None or each.name in names or each.name == "none"]


def _subjects(request: RobustnessRequest) -> tuple[list[TestSlice], dict[str, bool], frozenset[str]]:
    """Return the slices; where processing is recognised in untreated scans; and the names of the authentic ones."""
    recognised: dict[str, bool] = {}
    tampered = list(tampered_slices(request.data / CTGAN_FOLDER, read_labels(request.data / CTGAN_FOLDER)))
    for subject in tampered:
        recognised[f"{_TAMPERED} {subject.scan.name}"] = bool(find_traces(subject.scan))
    authentic, names = [], []
    report = request.step("Authentic scans")
    held_out = held_out_patients(request.data, request.split, "CT", on_error=request.on_error, report=report)
    for patient, scan in held_out:
        recognised[f"{_AUTHENTIC} {scan.name}"] = bool(find_traces(scan))
        names.append(scan.name)
        authentic += list(authentic_slices([(patient, scan)]))
    if not tampered or not authentic:
        raise ScanError(request.data, "holds no tampered or no authentic slice with lungs", "Give the right --data")
    return [*tampered, *authentic], recognised, frozenset(names)


_TAMPERED, _AUTHENTIC = "tampered", "authentic"


def _false_recognitions(recognised: Mapping[str, bool]) -> dict[str, Estimate]:
    shares = {
        word: share_of_scans({name: found for name, found in recognised.items() if name.startswith(f"{word} ")})
        for word in (_AUTHENTIC, _TAMPERED)
    }
    return {**shares, "both": share_of_scans(recognised)}


def _measured(
    measurements: Measurements,
    subjects: Sequence[TestSlice],
    treatments: Sequence[Treatment],
    thresholds: Sequence[float],
    request: RobustnessRequest,
) -> list[TreatmentResult]:
    missing = measurements.missing(subjects, treatments)
    if missing:
        request.tell(
            f"{missing} slices to treat and screen, about {missing * _SECONDS / 60.0:.0f} minutes of one core."
        )
    report, done = request.step("Laundered slices"), 0

    def count() -> None:
        nonlocal done
        done += 1
        report(done, missing)

    results = []
    for treatment in treatments:
        outcomes: list[Outcome] = list(measurements.measure(subjects, treatment, count))
        results.append(treatment_result(treatment, outcomes, thresholds))
    return results


# CPU seconds that a slice takes on average.
_SECONDS = 0.5


def _attacked(
    detector: Detector,
    measurements: Measurements,
    subjects: Sequence[TestSlice],
    thresholds: Sequence[float],
    request: RobustnessRequest,
) -> list[TreatmentResult]:
    """Attack the first slices of as many scans and patients, tampered and authentic."""
    from tamperscan.bench.robustness.attack import Attacker

    single = at_most(subjects, 1)
    tampered = [subject for subject in single if subject.kind != _AUTHENTIC]
    authentic = [subject for subject in single if subject.kind == _AUTHENTIC]
    chosen = [*_spread(tampered, request.attacked), *_spread(authentic, request.attacked)]
    treatments = [TREATMENTS["none"], *Attacker(detector, request.threads).treatments()]
    return _measured(measurements, chosen, treatments, thresholds, request)


def _spread(subjects: Sequence[TestSlice], count: int) -> list[TestSlice]:
    if len(subjects) <= count:
        return list(subjects)
    return [subjects[int((place + 0.5) * len(subjects) / count)] for place in range(count)]
