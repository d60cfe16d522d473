"""The places that are told: injected and removed by CT-GAN, real nodules, and healthy lung."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from scipy import ndimage

from tamperscan.bench.datasets.authentic import healthy_room
from tamperscan.bench.labels import Label
from tamperscan.bench.nodules_marks import Mark
from tamperscan.bench.places import DISC_MM, Mask, Place, far_from, random_place
from tamperscan.bench.units import region_of
from tamperscan.detect.training import find_patients
from tamperscan.errors import ScanError
from tamperscan.forge.lesions import TUMOURS, known_lesions
from tamperscan.scan import Scan, read_scan

SpotKind = Literal["injected", "removed", "nodule", "healthy"]

HELD_OUT: Final = ("test", "calibrate")
SEEN: Final = "train"

REFERENCE_PLACES: Final = 6
"""Healthy places of a slice that its other places are compared with, at most."""

LEAST_REFERENCES: Final = 3
"""With fewer a slice has no level of its own."""

# A nodule that a single reader marked is often none, or no solid one.
_LEAST_READERS: Final = 2
_SOFT_HU: Final = -300.0
_HEALTHY_SLICES: Final = 4
_TRIED_SLICES: Final = 12


@dataclass(frozen=True, eq=False)
class Spot:
    """A place in a slice, with the slice.

    Attributes
    ----------
    name
        Of the scan and the place.
    group
        The scan that was tampered with, or the patient: what is resampled as a whole.
    kind
        What is there.
    image
        The slice as a scan of its own.
    place
        (row, column).
    references
        Healthy (row, column) of the same slice, far from everything known.
    part
        Of the split; ``"development"`` or ``"reserved"`` where CT-GAN tampered.
    marked
        Whether readers marked it.
    sure
        Whether nobody doubts that it is a nodule.
    diameter_mm
        Size of a nodule, 0 for others.
    """

    name: str
    group: str
    kind: SpotKind
    image: Scan
    place: Place
    references: tuple[Place, ...]
    part: str
    marked: bool = False
    sure: bool = True
    diameter_mm: float = 0.0


@dataclass(frozen=True)
class _Nodule:
    slice: int
    place: Place
    diameter_mm: float
    marked: bool
    sure: bool


def tampered_spots(
    folder: Path, labels: Sequence[Label], report: Callable[[int, int], None] = lambda done, total: None
) -> Iterator[Spot]:
    """Yield the places that CT-GAN tampered with.

    Raises
    ------
    ScanError
        If a slice can't be read.
    """
    for done, label in enumerate(labels, start=1):
        scan = read_scan(folder / label.file)
        known = [(other.row, other.column) for other in labels if other.scan == label.scan]
        kind: SpotKind = "injected" if label.kind == "FM" else "removed"
        half = "development" if label.development else "reserved"
        place = (label.row, label.column)
        yield Spot(label.file, label.scan, kind, scan, place, healthy_places(scan, known), half)
        report(done, len(labels))


def authentic_spots(
    data: Path,
    split: Path,
    marks: Sequence[Mark],
    *,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[str, str, str], None] = lambda patient, part, name: None,
) -> Iterator[Spot]:
    """Yield the real nodules of every part of the split, and healthy places of the held-out parts.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    marks
        Nodules that readers have not marked.
    on_error
        Called with what can't be read, and with marks that lie outside their scan.
    report
        Called with patient, part and name of each scan.
    """
    for part in (*HELD_OUT, SEEN):
        for patient, scan in find_patients(data / "ct", "CT", split=split, parts=[part], on_error=on_error):
            report(patient, part, scan.name)
            nodules = [*_marked(scan), *_unmarked(scan, data, marks, on_error)]
            yield from _nodule_spots(scan, patient, part, nodules)
            if part in HELD_OUT:
                yield from _healthy_spots(scan, patient, part, nodules)


def healthy_places(image: Scan, known: Iterable[Place], most: int = REFERENCE_PLACES) -> tuple[Place, ...]:
    """Draw healthy (row, column) of a scan of one slice: apart from each other, and far from every known place.

    Always the same for the same slice.
    """
    spacing = (image.spacing_mm[1], image.spacing_mm[2])
    room = healthy_room(image.voxels[0], spacing, image.modality, known)
    drawn: list[Place] = []
    while len(drawn) < most:
        place = random_place(_apart(room, drawn, spacing), f"{image.name} reference {len(drawn)}")
        if place is None:
            break
        drawn.append(place)
    return tuple(drawn)


def place_inside(image: Scan, place: Place, diameter_mm: float) -> Place:
    """Return where a nodule is looked at: its middle, or what is nearest to it that the lung region holds.

    The middle of a mass that touches the chest wall lies outside the region, where no detector looks. Its place is then
    the one in the mass whose square of 16 mm holds most soft tissue of the region.

    Parameters
    ----------
    image
        A scan of one slice.
    place
        (row, column) of the nodule's middle.
    diameter_mm
        Its size.
    """
    hu, spacing = image.voxels[0], (image.spacing_mm[1], image.spacing_mm[2])
    region = region_of(hu, spacing, image.modality)
    if region[place]:
        return place
    soft = (region & (ndimage.gaussian_filter(hu, 1.0) > _SOFT_HU)).astype(np.float32)
    mass = (soft > 0) & ~far_from([place], region.shape, spacing, diameter_mm / 2)
    held = ndimage.uniform_filter(soft, [round(2 * DISC_MM / side) for side in spacing], mode="constant")
    row, column = np.unravel_index(int(np.argmax(np.where(mass, held, -1.0))), held.shape)
    return (int(row), int(column)) if mass.any() else place


def _apart(room: Mask, drawn: Sequence[Place], spacing: tuple[float, float]) -> Mask:
    """Leave out what shares tissue with the disc around a place that was drawn."""
    left: Mask = room & far_from(drawn, room.shape, spacing, 2 * DISC_MM)
    return left


def _marked(scan: Scan) -> Iterator[_Nodule]:
    for lesion in known_lesions(scan):
        # Boxes of a tumour come from one reader each.
        if lesion.readers >= _LEAST_READERS or (Path(scan.sources[0]).parent / TUMOURS).is_file():
            yield _Nodule(lesion.slice, (lesion.row, lesion.column), lesion.diameter_mm, marked=True, sure=True)


def _unmarked(
    scan: Scan, data: Path, marks: Sequence[Mark], on_error: Callable[[ScanError], None]
) -> Iterator[_Nodule]:
    path = _path(scan)
    for mark in marks:
        if (data / mark.file).resolve() != path.resolve():
            continue
        if mark.slice < scan.shape[0] and mark.row < scan.shape[1] and mark.column < scan.shape[2]:
            yield _Nodule(mark.slice, (mark.row, mark.column), mark.diameter_mm, False, mark.certainty == "sure")
        else:
            on_error(ScanError(path, f"has no slice, row and column as {mark} says", "Correct the list of nodules"))


def _nodule_spots(scan: Scan, patient: str, part: str, nodules: Sequence[_Nodule]) -> Iterator[Spot]:
    for nodule in nodules:
        image = _single(scan, nodule.slice)
        where = place_inside(image, nodule.place, nodule.diameter_mm)
        yield Spot(
            name=f"{image.name} {nodule.place[0]} {nodule.place[1]}",
            group=patient,
            kind="nodule",
            image=image,
            place=where,
            references=healthy_places(image, [other.place for other in nodules]),
            part=part,
            marked=nodule.marked,
            sure=nodule.sure,
            diameter_mm=nodule.diameter_mm,
        )


def _healthy_spots(scan: Scan, patient: str, part: str, nodules: Sequence[_Nodule]) -> Iterator[Spot]:
    """Take one place in each of up to four slices that have room for others to compare it with."""
    count, found = min(scan.shape[0], _TRIED_SLICES), 0
    for index in dict.fromkeys(np.linspace(0, scan.shape[0] - 1, count).round().astype(int)[_bit_order(count)]):
        image = _single(scan, int(index))
        first, *rest = healthy_places(image, [nodule.place for nodule in nodules], 1 + REFERENCE_PLACES) or (None,)
        if first is None or len(rest) < LEAST_REFERENCES:
            continue
        yield Spot(f"{image.name} healthy", patient, "healthy", image, first, tuple(rest), part)
        found += 1
        if found == _HEALTHY_SLICES:
            return


def _bit_order(count: int) -> list[int]:
    """Order so many numbers so that the first few are spread over all of them."""
    return sorted(range(count), key=lambda number: f"{number:08b}"[::-1])


def _single(scan: Scan, index: int) -> Scan:
    name = scan.name if scan.shape[0] == 1 else f"{scan.name}_{index}"
    return Scan(
        voxels=scan.voxels[index : index + 1].copy(),
        spacing_mm=scan.spacing_mm,
        modality=scan.modality,
        name=name,
        affine=scan.affine,
        metadata=scan.metadata,
    )


def _path(scan: Scan) -> Path:
    return Path(scan.sources[0]) if len(scan.sources) == 1 else Path(scan.sources[0]).parent
