"""Means over places with intervals over scans, for many columns at once.

The same percentile bootstrap as `tamperscan.bench.metrics.mean_estimate`, by matrices: the explanation has thousands of
means, and one at a time they would take longer than the measuring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tamperscan.bench.metrics import CONFIDENCE, ROUNDS, Estimate


def means(values: ArrayLike, groups: Sequence[str]) -> tuple[Estimate, ...]:
    """Return the mean of each column over the places where it is known, bootstrapped over groups.

    Parameters
    ----------
    values
        ``[place, column]``, or ``[place]`` for one column, of at least one place; NaN where nothing was measured.
    groups
        The scan of each place; resampled as a whole.

    Returns
    -------
    tuple of Estimate
        One for each column; NaN where it is known nowhere.
    """
    table = np.asarray(values, dtype=np.float64).reshape(len(groups), -1)
    names, which = np.unique(np.array(groups, dtype=str), return_inverse=True)
    member = (which[None, :] == np.arange(len(names))[:, None]).astype(np.float64)
    known = np.isfinite(table)
    sums, counts = member @ np.where(known, table, 0.0), member @ known
    chances = np.full(len(names), 1.0 / len(names))
    drawn = np.random.default_rng(0).multinomial(len(names), chances, size=ROUNDS).astype(np.float64)
    with np.errstate(invalid="ignore"):
        value, resampled = sums.sum(axis=0) / counts.sum(axis=0), (drawn @ sums) / (drawn @ counts)
    return tuple(_estimate(one, rounds) for one, rounds in zip(value, resampled.T, strict=True))


def geometric_means(logs: ArrayLike, groups: Sequence[str]) -> tuple[Estimate, ...]:
    """Return the geometric mean of each column of what the natural logarithms are given of; else as `means`."""
    return tuple(Estimate(*(math.exp(end) for end in (one.value, one.low, one.high))) for one in means(logs, groups))


def _estimate(value: float, resampled: np.ndarray) -> Estimate:
    known = resampled[np.isfinite(resampled)]
    if math.isnan(value) or not known.size:
        return Estimate(math.nan, math.nan, math.nan)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return Estimate(float(value), float(low), float(high))
