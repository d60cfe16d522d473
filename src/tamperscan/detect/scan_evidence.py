"""A scan's evidence: collected slice by slice, pooled along the slices, and put into words where it peaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.ahead import map_ahead
from tamperscan.detect.anatomy import anatomy_of
from tamperscan.detect.enlarge import enlarge
from tamperscan.detect.evidence_words import tell
from tamperscan.detect.findings import Peak
from tamperscan.detect.heads import PlaceEvidence
from tamperscan.detect.pooling import pool_slices
from tamperscan.detect.results import Finding
from tamperscan.detect.statistics import grid_step
from tamperscan.scan.volume import Scan


@dataclass(frozen=True, eq=False)
class _Reasons:
    """What is kept of a slice's typicality for words: only the windows that were measured, in half precision."""

    number: NDArray[np.int32]
    z: NDArray[np.float16]
    centred: NDArray[np.float16]


class ScanEvidence:
    """Collects the evidence of a scan's slices.

    Parameters
    ----------
    scan
        The scan.

    Attributes
    ----------
    pixel_mm
        Distance between (rows, columns) in mm.
    step
        Pixels between places of the coarse grid.
    spacing_mm
        Distance between places along (slice, row, column) in mm.
    regions
        bool ``[slice, row, column]``: where it was looked.
    measured
        Number of slices that were measured.
    """

    def __init__(self, scan: Scan) -> None:
        slices, rows, columns = scan.shape
        self.pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
        self.step = grid_step(self.pixel_mm)
        self.spacing_mm = (scan.spacing_mm[0], self.pixel_mm[0] * self.step, self.pixel_mm[1] * self.step)
        self.regions = np.zeros(scan.shape, dtype=bool)
        self.measured = 0
        self._words = anatomy_of(scan.modality).tissue_words
        self._grid = np.full((slices, rows // self.step, columns // self.step), np.nan, dtype=np.float32)
        self._odds: dict[int, NDArray[np.float32]] = {}
        self._reasons: dict[int, _Reasons] = {}

    def add(self, index: int, found: PlaceEvidence, region: NDArray[np.bool_]) -> None:
        """Take in a slice's evidence, and where it was looked for."""
        if not np.isfinite(found.suspicion).any():
            return
        self.measured += 1
        self._grid[index], self.regions[index] = found.suspicion, region
        if found.odds is not None:
            self._odds[index] = found.odds
        if found.typical is not None:
            self._reasons[index] = _reasons(found.typical.z, found.typical.centred)

    def pooled(self) -> NDArray[np.float32]:
        """Return the suspicion of places, float32 ``[slice, row, column]``, pooled along the slices."""
        return pool_slices(self._grid, self.spacing_mm[0])

    def enlarged(self, pooled: NDArray[np.float32], workers: int = 1) -> NDArray[np.float32]:
        """Return the suspicion on the scan's own grid, 0 where it was not looked; by so many threads."""
        full = np.zeros(self.regions.shape, dtype=np.float32)
        measured = sorted(self._odds.keys() | self._reasons.keys())
        large = map_ahead(lambda index: enlarge(pooled[index], self.step, self.regions[index]), measured, workers)
        for index, image in zip(measured, large, strict=True):
            full[index] = image
        return full

    def pixel(self, place: int) -> int:
        """Return the pixel in the middle of a place."""
        return place * self.step + self.step // 2

    def describe(self, peak: Peak, p_value: float) -> Finding:
        """Put a peak into words."""
        index, row, column = peak.centre
        size = [(high - low + 1) * step for low, high, step in zip(peak.low, peak.high, self.spacing_mm, strict=True)]
        sign, sentence = self._tell(index, row, column)
        return Finding(
            centre=(index, self.pixel(row), self.pixel(column)),
            size_mm=(float(size[0]), float(size[1]), float(size[2])),
            score=peak.score,
            p_value=p_value,
            slice_range=(peak.low[0], peak.high[0]),
            sign=sign,
            evidence=sentence,
        )

    def _tell(self, index: int, row: int, column: int) -> tuple[str, str]:
        """Say what speaks against a place: its noise by tissue, and what the self-forged head makes of it."""
        sign, sentences = "unusual texture", []
        reasons = self._reasons.get(index)
        place = -1 if reasons is None else int(reasons.number[row, column])
        if reasons is not None and place >= 0:
            told = tell(reasons.z[:, place], reasons.centred[:, place], self._words)
            # Beside other evidence, noise that is hardly unusual says nothing of which way a place differs.
            sign = told[0] if index not in self._odds or np.nanmax(np.abs(reasons.z[:, place])) >= 2.0 else sign
            sentences.append(told[1])
        if index in self._odds:
            odds = self._odds[index]
            sentences.insert(
                0,
                f"The log-odds that the texture here was altered are {odds[row, column]:+.1f}, in the middle of the"
                f" slice's places {np.nanmedian(odds):+.1f} (self-forged head).",
            )
        return sign, " ".join(sentences)


def _reasons(z: NDArray[np.float32], centred: NDArray[np.float32]) -> _Reasons:
    inside = np.isfinite(z).any(axis=0)
    number = np.full(inside.shape, -1, dtype=np.int32)
    number[inside] = np.arange(int(inside.sum()))
    return _Reasons(number, z[:, inside].astype(np.float16), centred[:, inside].astype(np.float16))
