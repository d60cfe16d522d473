"""Measures of a detector with their uncertainty; NumPy only.

Every measure takes a weight for each score, so that patients rather than slices can count alike, and so that the
bootstrap can resample whole patients by changing weights alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

ROUNDS = 1000
CONFIDENCE = 0.95

Array = NDArray[np.float64]
Statistic = Callable[..., float]


@dataclass(frozen=True)
class Estimate:
    """A measured value with its interval.

    Attributes
    ----------
    value
        What was measured; NaN if nothing was.
    low, high
        Ends of the 95 % interval.
    """

    value: float
    low: float
    high: float


def auc(
    positives: ArrayLike,
    negatives: ArrayLike,
    positive_weights: ArrayLike | None = None,
    negative_weights: ArrayLike | None = None,
) -> float:
    """Return the area under the receiver operating curve: the chance that a positive outscores a negative.

    Parameters
    ----------
    positives, negatives
        ``[score]``; ties count half, -inf is lowest.
    positive_weights, negative_weights
        ``[score]``, not negative; all alike if None.

    Returns
    -------
    float
        NaN if either side is empty or weighs nothing.
    """
    first, second = _floats(positives), _floats(negatives)
    first_weights, second_weights = _weights(first, positive_weights), _weights(second, negative_weights)
    total = first_weights.sum() * second_weights.sum()
    if not total > 0:
        return math.nan
    return float(first_weights @ wins(first, second) @ second_weights / total)


def wins(positives: ArrayLike, negatives: ArrayLike) -> Array:
    """Return ``[positive, negative]``: 1 where the positive scores higher, 1/2 for a tie, else 0."""
    first, second = _floats(positives)[:, None], _floats(negatives)[None, :]
    table: Array = (first > second) + 0.5 * (first == second)
    return table


def mean(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Return the weighted mean of the values that are not NaN; NaN if there is none."""
    numbers = _floats(values)
    scales = np.where(np.isnan(numbers), 0.0, _weights(numbers, weights))
    if not scales.sum() > 0:
        return math.nan
    return float((np.where(np.isnan(numbers), 0.0, numbers) * scales).sum() / scales.sum())


def share_above(scores: ArrayLike, threshold: float, weights: ArrayLike | None = None) -> float:
    """Return the weighted share of scores above a threshold: true positives of positives, false alarms of negatives."""
    return mean(_floats(scores) > threshold, weights)


def weighted_quantile(values: ArrayLike, share: float, weights: ArrayLike | None = None) -> float:
    """Return the smallest of the values that at least ``share`` of the weight does not exceed.

    Parameters
    ----------
    values
        ``[value]``.
    share
        Between 0 and 1.
    weights
        ``[value]``, not negative; all alike if None.

    Returns
    -------
    float
        One of the values, none interpolated; NaN if there is none.
    """
    numbers = _floats(values)
    scales = _weights(numbers, weights)
    if not scales.sum() > 0:
        return math.nan
    order = np.argsort(numbers[scales > 0], kind="stable")
    numbers, scales = numbers[scales > 0][order], scales[scales > 0][order]
    reached = np.cumsum(scales) / scales.sum()
    return float(numbers[np.searchsorted(reached, share - 1e-9).clip(max=len(numbers) - 1)])


def threshold_at(scores: ArrayLike, false_alarms: float, weights: ArrayLike | None = None) -> float:
    """Return the lowest threshold that at most ``false_alarms`` of the authentic weight lies above."""
    return weighted_quantile(scores, 1.0 - false_alarms, weights)


def equal_weights(groups: Sequence[str]) -> Array:
    """Return ``[item]``: weights with which the items of each group sum to one."""
    _, which, counts = np.unique(np.array(groups, dtype=str), return_inverse=True, return_counts=True)
    return 1.0 / counts[which].astype(np.float64)


def bootstrap(statistic: Statistic, *groups: Sequence[str], rounds: int = ROUNDS, seed: int = 0) -> Estimate:
    """Measure with a percentile bootstrap over groups (Efron and Tibshirani 1993, chapter 13).

    Parameters
    ----------
    statistic
        Called with one array of multiplicities ``[item]`` for each sample: how often the item's group was drawn.
    groups
        For each sample the group of each item, e.g. the scan of each tampered and the patient of each authentic
        slice. Groups are drawn with replacement, each sample by itself.
    rounds
        Number of resamples.
    seed
        Of the random generator.

    Returns
    -------
    Estimate
        With NaN ends where no resample could be measured.
    """
    value = statistic(*(np.ones(len(sample)) for sample in groups))
    generator = np.random.default_rng(seed)
    draws = [_multiplicities(sample, rounds, generator) for sample in groups]
    results = np.array([statistic(*(draw[index] for draw in draws)) for index in range(rounds)])
    known = results[np.isfinite(results)]
    if math.isnan(value) or known.size == 0:
        return Estimate(value, math.nan, math.nan)
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(known, (tail, 1.0 - tail))
    return Estimate(value, float(low), float(high))


def auc_estimate(
    positives: ArrayLike,
    negatives: ArrayLike,
    positive_groups: Sequence[str],
    negative_groups: Sequence[str],
    *,
    positives_alike: bool = False,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Estimate:
    """Return the AUC in which every group of negatives counts alike, bootstrapped over groups on both sides.

    Parameters
    ----------
    positives, negatives
        ``[score]``.
    positive_groups, negative_groups
        The scan or patient of each score.
    positives_alike
        Whether every group of positives counts alike too, rather than every positive.
    rounds, seed
        As for `bootstrap`.
    """
    table = wins(positives, negatives)
    ours = equal_weights(positive_groups) if positives_alike else np.ones(len(table))
    theirs = equal_weights(negative_groups)

    def statistic(first: Array, second: Array) -> float:
        left, right = first * ours, second * theirs
        total = float(left.sum() * right.sum())
        return float(left @ table @ right) / total if total > 0 else math.nan

    return bootstrap(statistic, positive_groups, negative_groups, rounds=rounds, seed=seed)


def mean_estimate(
    values: ArrayLike,
    groups: Sequence[str],
    *,
    alike: bool = False,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> Estimate:
    """Return the mean of the values that are not NaN, bootstrapped over groups.

    Parameters
    ----------
    values
        ``[item]``; truth values give a share.
    groups
        The scan or patient of each item.
    alike
        Whether every group counts alike, rather than every item.
    rounds, seed
        As for `bootstrap`.
    """
    numbers = _floats(values)
    kept = ~np.isnan(numbers)
    numbers, names = numbers[kept], [name for name, keep in zip(groups, kept, strict=True) if keep]
    base = equal_weights(names) if alike else np.ones(len(numbers))
    return bootstrap(lambda drawn: mean(numbers, drawn * base), names, rounds=rounds, seed=seed)


def share_estimate(hits: Sequence[bool], groups: Sequence[str], *, alike: bool = False) -> Estimate:
    """Return a share, bootstrapped over groups.

    Where all items agree no resample differs from another; the interval is then the binomial one of so many groups.

    Parameters
    ----------
    hits
        ``[item]``.
    groups, alike
        As for `mean_estimate`.
    """
    measured = mean_estimate(hits, groups, alike=alike)
    if measured.value not in (0.0, 1.0):
        return measured
    count = len(set(groups))
    return binomial(count if measured.value else 0, count)


def binomial(hits: int, count: int) -> Estimate:
    """Return a share with its 95 % score interval (Wilson 1927)."""
    if count == 0:
        return Estimate(math.nan, math.nan, math.nan)
    z = 1.959963984540054
    share, spread = hits / count, z * z / count
    middle = (share + spread / 2.0) / (1.0 + spread)
    half = z * math.sqrt(share * (1.0 - share) / count + spread / (4.0 * count)) / (1.0 + spread)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def _multiplicities(groups: Sequence[str], rounds: int, generator: np.random.Generator) -> Array:
    """Draw how often each item's group is taken, ``[round, item]``."""
    names, which = np.unique(np.array(groups, dtype=str), return_inverse=True)
    if len(names) == 0:
        return np.zeros((rounds, 0))
    counts = generator.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=rounds)
    return counts[:, which].astype(np.float64)


def _floats(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _weights(values: Array, weights: ArrayLike | None) -> Array:
    return np.ones(values.shape) if weights is None else _floats(weights)
