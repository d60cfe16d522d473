"""The places that are explained: tampered, healthy and diseased ones, each in the lung part of its slice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tamperscan.bench.labels import Label
from tamperscan.bench.places import FAR_MM, Map, Mask, Place, Spacing, far_from, grid_places
from tamperscan.bench.slices import single_slices
from tamperscan.detect.measure import LEAST_LUNG_CM2
from tamperscan.detect.regions import Tissues, lung_mask, tissues
from tamperscan.errors import ScanError
from tamperscan.forge.lesions import known_lesions
from tamperscan.scan import Scan, read_scan

HEALTHY, NODULE = "healthy", "nodule"
# CT-GAN replaces a cube of 32 mm.
HALF_MM = 16.0
# The network sees 51 pixels around, and little beyond 40.
_MARGIN_PX = 40
# A healthy place is one whose square of 32 mm is nearly all parenchyma.
_LEAST_PARENCHYMA = 0.6
_HEALTHY_EVERY_MM = 6.0
_HEALTHY_A_SCAN = 4

Report = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Subject:
    """One place with the lungs of its slice.

    Attributes
    ----------
    name
        Of the slice.
    group
        The scan or patient: what is resampled as a whole.
    kind
        ``"FB"`` or ``"FM"`` (tampered by CT-GAN), ``"healthy"``, ``"nodule"`` (a real one), or a forging method.
    hu
        float32 ``[row, column]`` in HU: the lungs of the slice with a margin.
    lung
        bool ``[row, column]``.
    classes
        Its tissues.
    spacing_mm
        Distance between (rows, columns) in mm.
    place
        (row, column) in `hu`.
    known
        Every place, this one included, that the rest of the slice must keep away from; may lie outside `hu`.
    """

    name: str
    group: str
    kind: str
    hu: Map
    lung: Mask
    classes: Tissues
    spacing_mm: Spacing
    place: Place
    known: tuple[Place, ...]

    def far(self, far_mm: float = FAR_MM) -> Mask:
        """Return bool ``[row, column]``: what lies farther than that from every known place."""
        return far_from(self.known, self.shape, self.spacing_mm, far_mm)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.hu.shape
        return rows, columns

    def tissue(self, name: str) -> Mask:
        """Return the mask of a tissue by name."""
        mask: Mask = getattr(self.classes, name)
        return mask

    def fits(self, place: Place, half_mm: float) -> bool:
        """Whether the square around a place lies within the part."""
        halves = (half_mm / step for step in self.spacing_mm)
        sides = zip(place, self.shape, halves, strict=True)
        return all(middle - half >= 0 and middle + half < side for middle, side, half in sides)


def cut_subject(
    image: Map, spacing_mm: Spacing, place: Place, known: Iterable[Place], names: tuple[str, str, str]
) -> Subject | None:
    """Cut the lungs out of a slice.

    Parameters
    ----------
    image
        float32 ``[row, column]`` in HU.
    spacing_mm
        Distance between (rows, columns) in mm.
    place
        (row, column).
    known
        Further places that the rest of the slice must keep away from.
    names
        Name, group and kind.

    Returns
    -------
    Subject or None
        None where the slice holds too little lung, or the place lies outside the part with the lungs.
    """
    part = _lung_part(image, spacing_mm)
    if part is None:
        return None
    moved = tuple((row - part.top, column - part.left) for row, column in (place, *known))
    if not all(0 <= index < side for index, side in zip(moved[0], part.hu.shape, strict=True)):
        return None
    name, group, kind = names
    return Subject(name, group, kind, part.hu, part.lung, part.classes, spacing_mm, moved[0], moved)


def tampered_subjects(
    folder: Path,
    labels: Sequence[Label],
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Report = lambda *_: None,
) -> list[Subject]:
    """Read the labelled slices of a folder; those that can't be read or hold no lung are left out.

    Parameters
    ----------
    folder
        Holds the slices.
    labels
        What was tampered with.
    on_error, report
        Called with what can't be read, and with (slices done, slices in all).
    """
    found = []
    for done, label in enumerate(labels, start=1):
        try:
            scan = read_scan(folder / label.file)
        except ScanError as error:
            on_error(error)
            continue
        # Every tampered place of the scan, whatever its slice: what was replaced reaches over many slices.
        known = [(other.row, other.column) for other in labels if other.scan == label.scan]
        names = (label.file, label.scan, label.kind)
        found.append(cut_subject(scan.voxels[0], scan.spacing_mm[1:], (label.row, label.column), known, names))
        report(done, len(labels))
    return [subject for subject in found if subject is not None]


def healthy_subjects(patients: Iterable[tuple[str, Scan]]) -> list[Subject]:
    """Choose a place amid parenchyma in up to four slices of each authentic scan.

    Parameters
    ----------
    patients
        (patient, scan).
    """
    found = []
    for patient, scan in patients:
        singles = [_healthy(patient, single) for single in single_slices(scan)]
        usable = [subject for subject in singles if subject is not None]
        chosen = np.linspace(0, len(usable) - 1, min(len(usable), _HEALTHY_A_SCAN)).round().astype(int)
        found += [usable[index] for index in chosen]
    return found


def nodule_subjects(patients: Iterable[tuple[str, Scan]]) -> list[Subject]:
    """Return the lesions that readers marked in authentic scans, each in its middle slice.

    Parameters
    ----------
    patients
        (patient, scan).
    """
    found = []
    for patient, scan in patients:
        lesions = known_lesions(scan)
        for lesion in lesions:
            known = [(other.row, other.column) for other in lesions]
            names = (f"{scan.name}_{lesion.slice}", patient, NODULE)
            image, place = scan.voxels[lesion.slice], (lesion.row, lesion.column)
            found.append(cut_subject(image, scan.spacing_mm[1:], place, known, names))
    return [subject for subject in found if subject is not None]


def square(subject: Subject, place: Place, half_mm: float = HALF_MM) -> Mask:
    """Return bool ``[row, column]``: the square around a place, as a cube of CT-GAN's meets the slice."""
    return offset_mm(subject, place) <= half_mm


def offset_mm(subject: Subject, place: Place) -> Map:
    """Return float32 ``[row, column]``: how far each pixel lies from a place along the farther axis, in mm."""
    rows, columns = np.ogrid[: subject.shape[0], : subject.shape[1]]
    down, across = (np.abs(axis - middle) for axis, middle in zip((rows, columns), place, strict=True))
    farther: Map = np.maximum(down * subject.spacing_mm[0], across * subject.spacing_mm[1]).astype(np.float32)
    return farther


def _healthy(patient: str, scan: Scan) -> Subject | None:
    """Take the place whose surroundings hold most parenchyma."""
    spacing_mm = scan.spacing_mm[1:]
    part = _lung_part(scan.voxels[0], spacing_mm)
    if part is None:
        return None
    names = (scan.name, patient, HEALTHY)
    subject = Subject(*names, part.hu, part.lung, part.classes, spacing_mm, (0, 0), ())
    shares = [(_share(subject, place), place) for place in _roomy(subject)]
    share, place = max(shares, default=(0.0, (0, 0)))
    return replace(subject, place=place, known=(place,)) if share >= _LEAST_PARENCHYMA else None


def _roomy(subject: Subject) -> Iterator[Place]:
    parenchyma = subject.classes.parenchyma
    for place in grid_places(parenchyma, subject.spacing_mm, _HEALTHY_EVERY_MM):
        if subject.fits(place, HALF_MM):
            yield place


def _share(subject: Subject, place: Place) -> float:
    return float(subject.classes.parenchyma[square(subject, place)].mean())


@dataclass(frozen=True, eq=False)
class _Part:
    """The lungs of a slice with a margin, and where in the slice they begin."""

    hu: Map
    lung: Mask
    classes: Tissues
    top: int
    left: int


def _lung_part(image: Map, spacing_mm: Spacing) -> _Part | None:
    lung = lung_mask(image, spacing_mm)
    if lung.sum() * spacing_mm[0] * spacing_mm[1] < LEAST_LUNG_CM2 * 100.0:
        return None
    rows, columns = (_span(np.asarray(lung.any(axis=axis))) for axis in (1, 0))
    hu, inside = image[rows, columns], lung[rows, columns]
    return _Part(hu, inside, tissues(hu, inside), rows.start, columns.start)


def _span(line: Mask) -> slice:
    occupied = np.flatnonzero(line)
    return slice(max(0, int(occupied[0]) - _MARGIN_PX), int(occupied[-1]) + 1 + _MARGIN_PX)
