"""Blocks of consecutive slices of authentic volumes, each a small scan of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Final

import numpy as np

from tamperscan.bench.fingerprints import hash_of
from tamperscan.detect.measure import LEAST_LUNG_CM2
from tamperscan.detect.regions import lung_mask
from tamperscan.detect.training import find_patients
from tamperscan.errors import ScanError
from tamperscan.scan import Scan, read_scan
from tamperscan.scan.volume import pixel_sha256

BLOCK_MM: Final = 40.0
"""Length of a block: the cube that is altered, with a little of what lies above and below it."""

PARTS: Final = ("test", "calibrate")

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Block:
    """Where a block lies.

    Attributes
    ----------
    patient
        Whose it is.
    path
        What `tamperscan.read_scan` reads the whole series from.
    series
        Name of the series.
    first, count
        Its first slice in the series, and how many there are.
    key
        Names it by the pixels of the series.
    """

    patient: str
    path: Path
    series: str
    first: int
    count: int
    key: str

    @property
    def name(self) -> str:
        """Unique among the blocks."""
        return f"{self.series}_{self.first:03d}"

    def cut(self, scan: Scan) -> Scan:
        """Cut the block out of its series."""
        return cut_slices(scan, self.first, self.count, self.name)


def cut_slices(scan: Scan, first: int, count: int, name: str) -> Scan:
    """Return consecutive slices of a scan as a scan."""
    voxels = scan.voxels[first : first + count].copy()
    affine = scan.affine.copy()
    affine[:, 3] += first * affine[:, 0]
    # Of a volume in a single file nothing says which of its slices these are, so that it must not be named.
    sources = scan.sources[first : first + count] if len(scan.sources) == scan.shape[0] else ()
    return replace(scan, voxels=voxels, name=name, affine=affine, sources=sources, sha256=pixel_sha256(voxels))


def spread_slices(slices: int, most: int, *, ends: float) -> list[int]:
    """Choose slices at even distances, without the ends of a long series; all of a series that has no more.

    Parameters
    ----------
    slices
        Of the series.
    most
        How many to choose.
    ends
        Share of the series that is left out at either end.
    """
    if slices <= most:
        return list(range(slices))
    return [int(index) for index in np.linspace(ends * slices, (1 - ends) * slices, most)]


def find_blocks(
    data: Path,
    split: Path,
    *,
    most: int | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[str], None] = lambda name: None,
) -> list[Block]:
    """Divide the volumes of held-out patients into blocks whose middle slice holds lung.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    most
        How many blocks at most, taken from the patients by turns; all if None.
    on_error
        Called with what can't be read.
    report
        Called with the name of each scan that was read.

    Returns
    -------
    list of Block
        Blocks of a series one after another; they don't overlap.

    Raises
    ------
    TrainingError
        If the split can't be read or lacks a part.
    """
    found: list[Block] = []
    for patient, scan in find_patients(data / "ct", "CT", split=split, parts=list(PARTS), on_error=on_error):
        report(scan.name)
        found += _blocks_of(patient, scan)
    return found if most is None else _by_turns(found, most)


def read_blocks(blocks: Iterable[Block]) -> Iterator[tuple[Block, Scan]]:
    """Yield each block with its slices; each series is read once, and one is in memory at a time.

    Raises
    ------
    ScanError
        If a series can't be read any more.
    """
    for path, same in groupby(blocks, key=lambda block: block.path):
        scan = read_scan(path)
        for block in same:
            yield block, block.cut(scan)


def _blocks_of(patient: str, scan: Scan) -> Iterator[Block]:
    """Lay as many blocks as fit, as evenly around the middle as slices allow."""
    count = max(2, round(BLOCK_MM / scan.spacing_mm[0]))
    fitting = scan.shape[0] // count
    margin = (scan.shape[0] - fitting * count) // 2
    for first in range(margin, margin + fitting * count, count):
        if _lung_cm2(scan, first + count // 2) >= LEAST_LUNG_CM2:
            key = hash_of(scan.sha256 or pixel_sha256(scan.voxels), first, count)
            yield Block(patient, _path(scan), scan.name, first, count, key)


def _lung_cm2(scan: Scan, index: int) -> float:
    down, across = scan.spacing_mm[1:]
    return float(np.count_nonzero(lung_mask(scan.voxels[index], (down, across)))) * down * across / 100.0


def _path(scan: Scan) -> Path:
    files = [Path(source) for source in scan.sources]
    return files[0] if len(files) == 1 else files[0].parent


def _by_turns(blocks: list[Block], most: int) -> list[Block]:
    """Take the first block of every series, then one in the middle of what is left of each, and so on."""
    queues = [_spread(list(same)) for _, same in groupby(blocks, key=lambda block: block.series)]
    longest = max(map(len, queues), default=0)
    order = [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]
    chosen = {block.key for block in order[:most]}
    return [block for block in blocks if block.key in chosen]


def _spread(blocks: list[Block]) -> list[Block]:
    """Order blocks from the middle of the series outwards."""
    middle = (len(blocks) - 1) / 2
    return sorted(blocks, key=lambda block: abs(blocks.index(block) - middle))
