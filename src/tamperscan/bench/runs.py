"""The measurements from the folders to their results: what the commands call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.authentic import AuthenticResult, measure_scans, seen_effect, summarise
from tamperscan.bench.ctgan import CtganResult, Subject, evaluate
from tamperscan.bench.labels import read_labels
from tamperscan.bench.slices import SliceOutcome, TamperedOutcome, measure_authentic, measure_tampered
from tamperscan.bench.subjects import (
    CT_FOLDER,
    CTGAN_FOLDER,
    calibration_of,
    held_out_patients,
    load_headed,
    load_reference,
    made_of,
    name_with_head,
)
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.detector import Detector
from tamperscan.detect.training import find_patients
from tamperscan.errors import ScanError, WeightsError
from tamperscan.scan import Scan

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class Request:
    """What to measure, and on what.

    Attributes
    ----------
    data
        Folder with ``ct/`` and ``ctgan/`` in it.
    detector
        A packaged detector or a folder.
    reference
        The weights that the published score is taken with; the detector's own if None.
    head
        One of the detector's heads; None for its strongest.
    split
        JSON file of part to globs below ``ct/``.
    step
        Called with the name of each part of the work; gives what is told its progress.
    on_error
        Called with what can't be read.
    """

    data: Path
    detector: str
    split: Path
    reference: str | None = None
    head: str | None = None
    step: Step = lambda name: lambda done, total: None
    on_error: Callable[[ScanError], None] = lambda error: None


@dataclass(frozen=True, eq=False)
class CtganRun:
    """A result, and the slices that it was made of."""

    result: CtganResult
    tampered: Sequence[TamperedOutcome]
    authentic: Sequence[SliceOutcome]


def run_ctgan(request: Request) -> CtganResult:
    """Measure a detector on the tampered slices of ``ctgan/`` and the authentic test scans of ``ct/``.

    Raises
    ------
    ScanError, WeightsError, TrainingError
        If the slices, the detector or the split can't be read.
    """
    return measure_ctgan(request, load_headed(request.detector, request.head)).result


def measure_ctgan(request: Request, detector: Detector | BackInTime) -> CtganRun:
    """Do what `run_ctgan` does, with a detector that is loaded already."""
    labels = read_labels(request.data / CTGAN_FOLDER)
    reference = load_reference(request.reference or request.detector)
    used = _Names(request, detector.card.modality)
    tampered = measure_tampered(
        detector, reference, request.data / CTGAN_FOLDER, labels, request.step("Tampered slices")
    )
    authentic = measure_authentic(detector, reference, used)
    if not any(outcome.measured for outcome in authentic):
        raise ScanError(request.data / CT_FOLDER, "holds no authentic test slice with lungs", "Give the right split")
    subject = Subject(
        detector=name_with_head(detector),
        reference=reference.name,
        weights_sha256=detector.weights.sha256,
        calibration=calibration_of(detector),
        not_held_out=tuple(sorted(made_of(detector.card) & used.names)),
    )
    return CtganRun(evaluate(subject, tampered, authentic, request.step("Bootstrap")), tampered, authentic)


def run_authentic(request: Request, *, seen: bool = True) -> AuthenticResult:
    """Count the false alarms on whole authentic test scans.

    Parameters
    ----------
    request
        What to measure.
    seen
        Whether also to compare the patients that the network was trained on with those it never saw.

    Raises
    ------
    ScanError, WeightsError, TrainingError
        If the scans, the detector or the split can't be read.
    """
    detector = load_headed(request.detector, request.head)
    if not isinstance(detector, Detector):
        raise WeightsError(f"{detector.name}: gives no verdicts, so it has no false alarms. Give a calibrated one.")
    used = _Names(request, detector.card.modality)
    outcomes = measure_scans(detector, used)
    effect = seen_effect(detector.weights, _parts(request, detector)) if seen else None
    return summarise(
        detector,
        outcomes,
        not_held_out=tuple(sorted(made_of(detector.card) & used.names)),
        seen=effect,
    )


def _parts(request: Request, detector: Detector) -> Iterator[tuple[str, str, Scan]]:
    for part in ("train", "calibrate"):
        found = find_patients(
            request.data / CT_FOLDER,
            detector.card.modality,
            split=request.split,
            parts=[part],
            on_error=request.on_error,
        )
        for patient, scan in found:
            yield part, patient, scan


class _Names:
    """Iterates over the authentic test scans, and remembers their names."""

    def __init__(self, request: Request, modality: str) -> None:
        self._request, self._modality = request, modality
        self.names: set[str] = set()

    def __iter__(self) -> Iterator[tuple[str, Scan]]:
        request = self._request
        found = held_out_patients(
            request.data,
            request.split,
            self._modality,
            on_error=request.on_error,
            report=request.step("Authentic scans"),
        )
        for patient, scan in found:
            self.names.add(scan.name)
            yield patient, scan
