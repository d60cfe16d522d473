"""From a map of suspicion to findings: peaks, merged over slices, most suspicious first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MOST_FINDINGS = 10
# Tampering replaces a cube of about 32 mm; two peaks nearer than this are one place.
MERGE_MM = 25.0
# A finding reaches as far as the suspicion stays above this part of its peak's height over the scan's middle.
_EXTENT_SHARE = 0.6


@dataclass(frozen=True)
class Peak:
    """A place in the suspicion map.

    Attributes
    ----------
    centre
        (slice, row, column) of the map.
    score
        Suspicion there.
    low, high
        Corners of its extent, both included, as (slice, row, column).
    """

    centre: tuple[int, int, int]
    score: float
    low: tuple[int, int, int]
    high: tuple[int, int, int]


def find_peaks(
    suspicion: NDArray[np.float32],
    spacing_mm: tuple[float, float, float],
    threshold: float,
    most: int = MOST_FINDINGS,
) -> list[Peak]:
    """Find the highest places of a map, no two of them within `MERGE_MM`.

    Parameters
    ----------
    suspicion
        float32 ``[slice, row, column]``; NaN where nothing was measured.
    spacing_mm
        Distance between neighbours along (slice, row, column).
    threshold
        Peaks below this are not findings.
    most
        Number of peaks at the most.
    """
    values = np.where(np.isfinite(suspicion), suspicion, -np.inf)
    # The slope of a wide peak beyond the merging distance is no peak of its own.
    remaining = np.where(values == ndimage.maximum_filter(values, size=3), values, -np.inf)
    peaks: list[Peak] = []
    middle = float(np.median(suspicion[np.isfinite(suspicion)])) if np.isfinite(suspicion).any() else 0.0
    while len(peaks) < most:
        index = int(np.argmax(remaining))
        centre = tuple(int(i) for i in np.unravel_index(index, remaining.shape))
        score = float(remaining[centre])
        if not score > threshold:
            break
        here = (centre[0], centre[1], centre[2])
        peaks.append(_with_extent(suspicion, here, score, middle, spacing_mm))
        remaining[_ball(remaining.shape, here, spacing_mm)] = -np.inf
    return peaks


def _with_extent(
    suspicion: NDArray[np.float32],
    centre: tuple[int, int, int],
    score: float,
    middle: float,
    spacing_mm: tuple[float, float, float],
) -> Peak:
    """Grow the peak over its connected neighbourhood, not further than the merging distance."""
    level = middle + _EXTENT_SHARE * (score - middle)
    corner = [slice(max(0, c - r), c + r + 1) for c, r in zip(centre, _reach(spacing_mm), strict=True)]
    block = np.nan_to_num(suspicion[tuple(corner)], nan=-np.inf) >= level
    labels, _ = ndimage.label(block)
    inner = tuple(c - s.start for c, s in zip(centre, corner, strict=True))
    where = np.argwhere(labels == labels[inner]) + [s.start for s in corner]
    low, high = where.min(axis=0), where.max(axis=0)
    return Peak(centre, score, (int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2])))


def _reach(spacing_mm: tuple[float, float, float]) -> tuple[int, ...]:
    return tuple(max(0, int(MERGE_MM / step)) for step in spacing_mm)


def _ball(
    shape: tuple[int, ...], centre: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    axes = [
        ((np.arange(size) - middle) * step) ** 2 for size, middle, step in zip(shape, centre, spacing_mm, strict=True)
    ]
    squared = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :]
    near: NDArray[np.bool_] = squared <= MERGE_MM**2
    return near
