"""What a detector says of single slices, tampered and authentic ones alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from tamperscan.bench.labels import Label
from tamperscan.bench.places import (
    HIT_MM,
    Mask,
    Place,
    Spacing,
    distance_mm,
    far_from,
    largest,
    random_place,
    rank_within,
)
from tamperscan.detect.results import Screening
from tamperscan.errors import ScanError
from tamperscan.scan import Scan, read_scan

SLICE_EVERY_MM = 5.0
SLICES_A_SERIES = 20

Report = Callable[[int, int], None]


class Screener(Protocol):
    """What is measured here: anything with the interface of `Detector`."""

    @property
    def name(self) -> str:
        """Name of the detector."""
        ...

    def screen(self, scan: Scan) -> Screening:
        """Screen a whole scan."""
        ...

    def score_patch(self, scan: Scan, slice: int, row: int, column: int) -> float:
        """Score a given place."""
        ...


@dataclass(frozen=True)
class SliceOutcome:
    """What came of screening one slice by itself.

    Attributes
    ----------
    group
        The scan (of a tampered slice) or patient (of an authentic one): what the slices of are not independent.
    name
        Name of the slice.
    score
        Highest suspicion, NaN where nothing could be measured.
    verdict, p_value, sign
        The screening's verdict and p-value and the first finding's sign, None without one.
    reason
        Why there is no score, empty if there is one.
    rest
        Highest suspicion far from the tampering; in an authentic slice, far from a place drawn at random.
    placed, reference
        Score of the tampered (or that random) place when the place is told, by the detector and by the published
        score; NaN where there is none.
    """

    group: str
    name: str
    score: float
    verdict: str
    p_value: float | None
    sign: str | None
    reason: str
    rest: float
    placed: float
    reference: float

    @property
    def measured(self) -> bool:
        """Whether the slice has a score."""
        return math.isfinite(self.score)


@dataclass(frozen=True)
class TamperedOutcome:
    """What came of a tampered slice.

    Attributes
    ----------
    label
        What was tampered with.
    slice
        What came of the slice.
    peak_mm
        Distance from the label to the highest suspicion, NaN without one.
    any_mm
        The same to the nearest of the scan's tampered places whose cube reaches this slice.
    within
        Share of the slice's untampered places with less suspicion than the tampered one.
    """

    label: Label
    slice: SliceOutcome
    peak_mm: float
    any_mm: float
    within: float


def measure_tampered(
    detector: Screener, reference: Screener, folder: Path, labels: Sequence[Label], report: Report = lambda *_: None
) -> list[TamperedOutcome]:
    """Screen every labelled slice of a folder.

    Raises
    ------
    ScanError
        If a slice can't be read, or its label lies outside it.
    """
    outcomes = []
    for done, label in enumerate(labels, start=1):
        scan = read_labelled(folder, label)
        # Every tampered place of the scan, whatever its slice: what was replaced reaches over many slices, and how many
        # is not on record. (The label's own place is among them.)
        others = [other for other in labels if other.scan == label.scan]
        outcomes.append(_tampered(detector, reference, scan, label, others))
        report(done, len(labels))
    return outcomes


def measure_authentic(
    detector: Screener,
    reference: Screener,
    patients: Iterable[tuple[str, Scan]],
    report: Callable[[str], None] = lambda name: None,
) -> list[SliceOutcome]:
    """Screen slices of authentic scans, each by itself.

    Parameters
    ----------
    detector, reference
        What is measured, and the published score.
    patients
        (patient, scan).
    report
        Called with the name of each scan that is done.
    """
    outcomes = []
    for patient, scan in patients:
        outcomes += [_authentic(detector, reference, patient, single) for single in single_slices(scan)]
        report(scan.name)
    return outcomes


def single_slices(scan: Scan) -> Iterator[Scan]:
    """Yield slices as scans of one slice: no nearer than 5 mm, and at most 20 evenly spaced ones."""
    for index in spaced_slices(scan):
        name = scan.name if scan.shape[0] == 1 else f"{scan.name}_{index}"
        yield replace(scan, voxels=scan.voxels[index : index + 1], name=name)


def spaced_slices(scan: Scan, most: int | None = None) -> list[int]:
    """List slices no nearer than 5 mm, evenly spaced where there are more than ``most`` (20 if None)."""
    most = SLICES_A_SERIES if most is None else most
    stride = max(1, math.ceil(SLICE_EVERY_MM / scan.spacing_mm[0] - 1e-3))
    indices = np.arange(0, scan.shape[0], stride)
    if len(indices) > most:
        indices = indices[np.linspace(0, len(indices) - 1, most).round().astype(int)]
    return [int(index) for index in indices]


def read_labelled(folder: Path, label: Label) -> Scan:
    """Read the slice that a label was made for; raises ScanError where the two don't fit."""
    scan = read_scan(folder / label.file)
    if not (0 <= label.row < scan.shape[1] and 0 <= label.column < scan.shape[2]) or scan.shape[0] != 1:
        raise ScanError(
            folder / label.file,
            f"the label at row {label.row}, column {label.column} does not fit {scan.shape} (slices, rows, columns)",
            "Give the slice that the label was made for",
        )
    return scan


def _tampered(
    detector: Screener, reference: Screener, scan: Scan, label: Label, others: list[Label]
) -> TamperedOutcome:
    screening = detector.screen(scan)
    place, spacing = (label.row, label.column), _pixel_mm(scan)
    suspicion, region = screening.suspicion[0], screening.regions[0]
    rest = far_from([(other.row, other.column) for other in others], region.shape, spacing)
    peak = screening.slices[0].peak
    reaching = [other for other in others if abs(other.slice - label.slice) * scan.spacing_mm[0] <= HIT_MM]
    return TamperedOutcome(
        label=label,
        slice=_outcome(screening, (label.scan, label.file), rest, _told(detector, reference, scan, place)),
        peak_mm=distance_mm(peak, place, spacing) if peak else math.nan,
        any_mm=min(distance_mm(peak, (other.row, other.column), spacing) for other in reaching) if peak else math.nan,
        within=rank_within(suspicion, region, place, rest, spacing),
    )


def _authentic(detector: Screener, reference: Screener, patient: str, scan: Scan) -> SliceOutcome:
    screening = detector.screen(scan)
    region = screening.regions[0]
    place = random_place(region, scan.name)
    rest = far_from([place] if place else [], region.shape, _pixel_mm(scan))
    return _outcome(screening, (patient, scan.name), rest, _told(detector, reference, scan, place))


def _told(detector: Screener, reference: Screener, scan: Scan, place: Place | None) -> tuple[float, float]:
    """Score a place that is told, by the detector and by the published score."""
    if place is None:
        return math.nan, math.nan
    return detector.score_patch(scan, 0, *place), reference.score_patch(scan, 0, *place)


def _outcome(screening: Screening, names: tuple[str, str], rest: Mask, told: tuple[float, float]) -> SliceOutcome:
    return SliceOutcome(
        group=names[0],
        name=names[1],
        score=screening.score,
        verdict=screening.verdict,
        p_value=screening.p_value,
        sign=screening.findings[0].sign if screening.findings else None,
        reason="" if math.isfinite(screening.score) else screening.reasons[0],
        rest=largest(screening.suspicion[0], screening.regions[0] & rest),
        placed=told[0],
        reference=told[1],
    )


def _pixel_mm(scan: Scan) -> Spacing:
    return scan.spacing_mm[1], scan.spacing_mm[2]
