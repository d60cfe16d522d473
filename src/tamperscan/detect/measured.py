"""A scan as it was measured: what is learned from and what is scored, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import Acquisition
from tamperscan.detect.ahead import map_ahead
from tamperscan.detect.detector import slice_scores
from tamperscan.detect.heads import Head
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.pooling import pool_slices
from tamperscan.detect.statistics import WindowStatistics
from tamperscan.detect.typicality import PatientWindows, windows_of
from tamperscan.scan.volume import Scan


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

    def load(self) -> MeasuredScan:
        """Return itself: a scan in memory stands beside stored ones."""
        return self

    @property
    def windows(self) -> int:
        """Number of windows that can be learned from."""
        return windows_of(self.slices).windows

    def learning(self, most: int | None = None) -> PatientWindows:
        """Return the windows to learn from; all of them, as the scan is in memory anyway."""
        return windows_of(self.slices)


def measure_scan(meter: SliceMeter, scan: Scan, *, workers: int = 1) -> MeasuredScan:
    """Measure all slices of a scan: screening takes the maximum over all of them, and so must calibration.

    Parameters
    ----------
    meter
        Measures slices.
    scan
        Of authentic or other content.
    workers
        Slices that are measured at a time.
    """
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    own = meter.of(scan)
    slices, odds = [], []
    for measured in map_ahead(lambda image: own.measure(image, pixel_mm), scan.voxels, workers):
        if measured is not None:
            slices.append(measured.statistics)
            odds += [] if measured.odds is None else [measured.odds]
    return MeasuredScan(scan.name, tuple(slices), scan.spacing_mm, odds=tuple(odds))


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
