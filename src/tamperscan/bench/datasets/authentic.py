"""Authentic scans of a split: with the real nodules that readers have marked, and healthy places drawn at random."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from scipy import ndimage

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.datasets.rows import DataSet, Skipped
from tamperscan.bench.places import FAR_MM, Mask, Place, Spacing, far_from, random_place
from tamperscan.bench.units import Voxels, region_of
from tamperscan.detect.training import find_patients
from tamperscan.errors import ScanError
from tamperscan.forge.lesions import Lesion, known_lesions
from tamperscan.scan import Scan

HEALTHY_PLACES: Final = 4
"""Healthy places of a scan, at most."""

# So far inside the lung, or body, that a nodule could have been there.
_BORDER_MM: Final = 8.0
# And not in anything dense: readers have not marked every scan.
_BLUR_MM: Final = 4.0
_THIN_HU: Final = -600.0
_TRIED_SLICES: Final = 12
_SCANNER: Final = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel")


def read_authentic(
    folder: Path,
    modality: str = "CT",
    *,
    split: Path | None = None,
    parts: tuple[str, ...] = ("test",),
    report: Callable[[str], None] = lambda name: None,
) -> DataSet:
    """Read the scans of some parts of a split; each is read once, one at a time.

    Parameters
    ----------
    folder
        Of the scans.
    modality
        ``"CT"`` or ``"MR"``; other scans are skipped.
    split
        JSON file of part to globs below the folder; a glob is a patient. None to take every scan of the folder, each as
        a patient of its own.
    parts
        Which parts.
    report
        Called with the name of each scan.

    Returns
    -------
    DataSet
        A case for each scan.

    Raises
    ------
    TrainingError
        If the split can't be read or has no such part.
    ScanError
        If the folder is missing, or without a split nothing in it can be read.
    """
    skipped: list[Skipped] = []
    cases: dict[str, Case] = {}
    found = find_patients(
        folder, modality, split=split, parts=list(parts), on_error=lambda error: skipped.append(_told(error))
    )
    for patient, scan in found:
        report(scan.name)
        try:
            case = _case(patient, scan)
        except ScanError as error:
            skipped.append(_told(error))
            continue
        if case.name in cases:
            skipped.append(Skipped(case.name, "is the name of two scans"))
            continue
        cases[case.name] = case
    return DataSet(tuple(cases.values()), tuple(skipped))


def scanner_of(scan: Scan) -> str:
    """Return manufacturer, model and kernel of a scan, as far as they are known; empty if none is."""
    return " ".join(scan.metadata[name] for name in _SCANNER if scan.metadata.get(name))


def scanners_in(
    folder: Path, modality: str = "CT", *, split: Path | None = None, parts: tuple[str, ...] = ("train",)
) -> frozenset[str]:
    """Return the scanners of some parts of a split; those that are not known are not among them."""
    found = find_patients(folder, modality, split=split, parts=list(parts))
    return frozenset(scanner for _, scan in found if (scanner := scanner_of(scan)))


def _told(error: ScanError) -> Skipped:
    return Skipped(Path(error.path).name, error.problem)


def _case(patient: str, scan: Scan) -> Case:
    lesions = known_lesions(scan)
    nodules = tuple(Target(lesion.slice, lesion.row, lesion.column, "nodule") for lesion in lesions)
    return Case(
        name=scan.name,
        group=patient,
        modality=scan.modality,
        generator=AUTHENTIC,
        task=None,
        scan=_path(scan),
        targets=nodules + tuple(healthy_places(scan, lesions)),
        scanner=scanner_of(scan),
    )


def _path(scan: Scan) -> Path:
    """Return what to read the scan from again."""
    files = [Path(source) for source in scan.sources]
    folders = {file.parent for file in files}
    if len(files) == 1:
        return files[0]
    if len(folders) != 1:
        raise ScanError(scan.name, f"lies in {len(folders)} folders", "Put each scan into a folder of its own")
    return folders.pop()


def healthy_places(scan: Scan, lesions: list[Lesion], count: int = HEALTHY_PLACES) -> Iterator[Target]:
    """Draw places in the lungs (CT) or the body (MR), well inside and far from every known lesion.

    They lie in different slices as far as there are enough, and more than 32 mm apart where they don't.

    Parameters
    ----------
    scan
        An authentic scan.
    lesions
        Known ones.
    count
        How many places at most; fewer where there is no room.

    Yields
    ------
    Target
        The same for the same scan.
    """
    seed = int.from_bytes(hashlib.sha256(json.dumps(["healthy", scan.name]).encode()).digest()[:8], "little")
    order = np.random.default_rng(seed).permutation(scan.shape[0])[:_TRIED_SLICES]
    rooms = {int(index): _room(scan, int(index), lesions) for index in order}
    taken: list[Target] = []
    for index in [index for _ in range(count) for index in rooms]:
        if len(taken) == count:
            return
        here = [(target.row, target.column) for target in taken if target.slice == index]
        free = rooms[index] & far_from(here, scan.shape[1:], _pixel_mm(scan))
        place = random_place(free, f"{scan.name} healthy {len(taken)}")
        if place is not None:
            taken.append(Target(index, *place, "healthy"))
            yield taken[-1]


def _room(scan: Scan, index: int, lesions: list[Lesion]) -> Mask:
    near = [(lesion.row, lesion.column) for lesion in lesions if _reaches(lesion, index, scan.spacing_mm[0])]
    return healthy_room(scan.voxels[index], _pixel_mm(scan), scan.modality, near)


def healthy_room(image: Voxels, spacing_mm: Spacing, modality: str, near: Iterable[Place]) -> Mask:
    """Find where in a slice there is healthy tissue on all sides.

    Parameters
    ----------
    image
        float32 ``[row, column]`` in the scan's units.
    spacing_mm
        Distance between (rows, columns) in mm.
    modality
        ``"CT"`` or ``"MR"``.
    near
        (row, column) to keep 32 mm away from.

    Returns
    -------
    bool ``[row, column]``
    """
    region = region_of(image, spacing_mm, modality)
    inner = ndimage.distance_transform_edt(region, sampling=spacing_mm) >= _BORDER_MM
    if modality == "CT":
        inner &= ndimage.gaussian_filter(image, [_BLUR_MM / side for side in spacing_mm]) < _THIN_HU
    room: Mask = inner & far_from(near, region.shape, spacing_mm)
    return room


def _reaches(lesion: Lesion, index: int, slice_mm: float) -> bool:
    first, last = lesion.slice_range
    return max(first - index, index - last, 0) * slice_mm <= FAR_MM


def _pixel_mm(scan: Scan) -> tuple[float, float]:
    return scan.spacing_mm[1], scan.spacing_mm[2]
