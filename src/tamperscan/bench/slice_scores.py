"""The score of one slice from its map of suspicion: highest place, peaks, and the untouched rest."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

from tamperscan.bench.grids import Grid, Map
from tamperscan.bench.places import Mask, Place, far_from, largest, random_place, rank_within
from tamperscan.bench.scores import Peak, SliceScore

MOST_PEAKS = 10
APART_MM = 16.0


def score_slice(
    suspicion: Map, grid: Grid, index: int, *, near: Sequence[Place], all_places: Sequence[Place], name: str
) -> SliceScore:
    """Score one slice.

    Parameters
    ----------
    suspicion
        float32 ``[row, column]`` at the nodes of ``grid``, NaN elsewhere.
    grid
        Of the slice.
    index
        Number of the slice in its scan.
    near
        (row, column) in pixels of the tampered places that reach this slice; empty in an untampered one.
    all_places
        Those of the whole scan; empty in an authentic one.
    name
        Of the slice; in an authentic scan it decides which place is left out of the rest.
    """
    nodes = [grid.node(*place) for place in all_places]
    drawn = None if all_places else random_place(grid.nodes, name)
    far = far_from([*nodes, *([drawn] if drawn else [])], grid.nodes.shape, grid.spacing_mm)
    ranks = [rank_within(suspicion, grid.nodes, grid.node(*place), far, grid.spacing_mm) for place in near]
    known = [rank for rank in ranks if not math.isnan(rank)]
    return SliceScore(
        index=index,
        score=largest(suspicion, grid.nodes),
        rest=largest(suspicion, grid.nodes & far),
        peaks=find_peaks(suspicion, grid, index),
        within=sum(known) / len(known) if known else math.nan,
        tampered=bool(near),
    )


def find_peaks(suspicion: Map, grid: Grid, index: int) -> tuple[Peak, ...]:
    """Find local maxima at least 16 mm apart, highest first, at most ten."""
    values = np.where(grid.nodes, suspicion, -np.inf)
    remaining = np.where(values == ndimage.maximum_filter(values, size=3), values, -np.inf)
    peaks: list[Peak] = []
    while len(peaks) < MOST_PEAKS and np.isfinite(remaining).any():
        row, column = (int(at) for at in np.unravel_index(int(np.argmax(remaining)), remaining.shape))
        peaks.append(Peak(index, *grid.pixel(row, column), float(remaining[row, column])))
        remaining[~far_from([(row, column)], remaining.shape, grid.spacing_mm, APART_MM)] = -np.inf
    return tuple(peaks)


def pixel_auc(values: NDArray[np.float32], tampered: Mask) -> float:
    """Return the area under the receiver operating curve of tampered against untampered places.

    Parameters
    ----------
    values
        ``[place]``: suspicion.
    tampered
        bool ``[place]``.

    Returns
    -------
    float
        By ranks, ties counting half (Mann and Whitney 1947); NaN where all places are of one kind.
    """
    positives, negatives = int(tampered.sum()), int((~tampered).sum())
    if not positives or not negatives:
        return math.nan
    ranks = rankdata(values)
    return float((ranks[tampered].sum() - positives * (positives + 1) / 2) / (positives * negatives))
