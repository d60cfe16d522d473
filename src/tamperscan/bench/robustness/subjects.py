"""The slices that are laundered: tampered and authentic ones, each with a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.labels import Label
from tamperscan.bench.places import Mask, Place, random_place
from tamperscan.bench.slices import read_labelled, single_slices
from tamperscan.bench.units import region_of
from tamperscan.detect.measure import LEAST_LUNG_CM2
from tamperscan.scan import Scan

AUTHENTIC = "authentic"

Image = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TestSlice:
    """A slice to launder.

    Attributes
    ----------
    scan
        Of one slice.
    kind
        ``"FB"`` (removal), ``"FM"`` (injection) or `AUTHENTIC`.
    group
        The scan (of a tampered slice) or patient (of an authentic one).
    place
        (row, column) of the tampering; in an authentic slice one that was drawn at random in the lung.
    lung
        bool ``[row, column]``.
    """

    __test__ = False  # no test, whatever its name makes pytest think

    scan: Scan
    kind: str
    group: str
    place: Place
    lung: Mask

    @property
    def image(self) -> Image:
        """float32 ``[row, column]`` in HU."""
        image: Image = self.scan.voxels[0]
        return image

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between (rows, columns) in mm."""
        return self.scan.spacing_mm[1], self.scan.spacing_mm[2]

    def generator(self, *words: object) -> np.random.Generator:
        """Return a random generator that is the same for the same slice and words."""
        return np.random.default_rng(int(hash_of(self.scan.name, *map(str, words)), 16))


def tampered_slices(folder: Path, labels: Sequence[Label]) -> Iterator[TestSlice]:
    """Yield the labelled slices of a folder in which there is lung to look at.

    Raises
    ------
    ScanError
        If a slice can't be read, or its label lies outside it.
    """
    for label in labels:
        scan = read_labelled(folder, label)
        lung = _lung(scan)
        if lung is not None:
            yield TestSlice(scan, label.kind, label.scan, (label.row, label.column), lung)


def authentic_slices(patients: Iterable[tuple[str, Scan]]) -> Iterator[TestSlice]:
    """Yield the single slices of (patient, scan) in which there is lung to look at."""
    for patient, scan in patients:
        for single in single_slices(scan):
            lung = _lung(single)
            place = None if lung is None else random_place(lung, single.name)
            if lung is not None and place is not None:
                yield TestSlice(single, AUTHENTIC, patient, place, lung)


def _lung(scan: Scan) -> Mask | None:
    """Find the lungs; None where a detector finds too little of them to look at."""
    spacing = (scan.spacing_mm[1], scan.spacing_mm[2])
    lung = region_of(scan.voxels[0], spacing, "CT")
    return lung if lung.sum() * spacing[0] * spacing[1] >= LEAST_LUNG_CM2 * 100.0 else None


def at_most(subjects: Sequence[TestSlice], most: int | None) -> list[TestSlice]:
    """Keep at most so many slices of a kind of each scan or patient, evenly spread; all if None."""
    if most is None:
        return list(subjects)
    together: dict[tuple[str, str], list[TestSlice]] = {}
    for subject in subjects:
        together.setdefault((subject.kind, subject.group), []).append(subject)
    kept: list[TestSlice] = []
    for same in together.values():
        chosen = np.linspace(0, len(same) - 1, min(most, len(same))).round().astype(int)
        kept += [same[index] for index in chosen]
    return kept
