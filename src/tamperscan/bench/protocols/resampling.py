"""Figures of several contenders on the same patients, resampled together so that differences have intervals, too.

Patients (or, where they are not known, source scans) are drawn with replacement, each with everything that is of it:
tampered and authentic, scored by all contenders (Efron and Tibshirani 1993, chapter 8: the unit that was sampled is the
unit that is resampled). Every patient counts alike, however many slices or places it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tamperscan.bench.metrics import CONFIDENCE, ROUNDS, Array, Estimate, binomial, wins

LEAST_PATIENTS: Final = 6
"""With fewer a difference has no interval: even where all agree, chance could do it (sign test: 2 * 0.5**5 > 0.05)."""

UNKNOWN: Final = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Figure:
    """One measure of one contender.

    Attributes
    ----------
    estimate
        The measure.
    gap
        How much more than ours it is, resampled in pairs; NaN for our own, and where either is unknown. Of fewer than
        `LEAST_PATIENTS` it has no interval.
    missing
        Scores that it did not give where another contender did; they were counted as least suspicious.
    """

    estimate: Estimate
    gap: Estimate = UNKNOWN
    missing: int = 0

    @property
    def differs(self) -> bool:
        """Whether the interval of the difference from ours leaves out 0."""
        return self.gap.low > 0 or self.gap.high < 0


@dataclass(frozen=True, eq=False)
class Rounds:
    """A measure in every resample.

    Attributes
    ----------
    values
        ``[1 + round]``; the first is of the patients as they are.
    groups
        How many patients stand behind it: the fewer of both sides.
    share
        Whether it is a share of things, so that its interval is known even where all agree.
    """

    values: Array
    groups: int
    share: bool = False

    def estimate(self, *, least: int = 2) -> Estimate:
        """Return the value with its percentile interval; without one where fewer patients stand behind it."""
        value, rest = float(self.values[0]), self.values[1:]
        known = rest[np.isfinite(rest)]
        if math.isnan(value) or self.groups < least or known.size == 0:
            return Estimate(value, math.nan, math.nan)
        if self.share and value in (0.0, 1.0):
            return binomial(self.groups if value else 0, self.groups)
        tail = (1.0 - CONFIDENCE) / 2.0
        low, high = np.quantile(known, (tail, 1.0 - tail))
        return Estimate(value, float(low), float(high))

    def minus(self, other: Rounds) -> Rounds:
        """Return the difference in every resample."""
        return Rounds(self.values - other.values, min(self.groups, other.groups))


class Draws:
    """How often each patient is taken in every resample; the same for all figures that are made of it.

    Parameters
    ----------
    groups
        Patients; repeats do no harm.
    rounds
        Number of resamples.
    seed
        Of the random generator.
    """

    def __init__(self, groups: Iterable[str], rounds: int = ROUNDS, seed: int = 0) -> None:
        names = sorted(set(groups))
        self._places = {name: place for place, name in enumerate(names)}
        count = len(names)
        drawn = np.zeros((rounds, 0)) if not names else _draw(count, rounds, seed)
        self._times = np.concatenate([np.ones((1, count)), drawn])

    def times(self, names: Sequence[str]) -> Array:
        """Return ``[1 + round, name]``; the first row is 1."""
        chosen: Array = self._times[:, [self._places[name] for name in names]]
        return chosen

    def auc(
        self, positives: Array, negatives: Array, positive_groups: Sequence[str], negative_groups: Sequence[str]
    ) -> Rounds:
        """Return the chance that a positive outscores a negative; ties count half, -inf is lowest."""
        if not len(positives) or not len(negatives):
            return self._unknown()
        ours, theirs = sorted(set(positive_groups)), sorted(set(negative_groups))
        table = group_means(group_means(wins(positives, negatives), positive_groups).T, negative_groups).T
        left, right = self.times(ours), self.times(theirs)
        values = _ratio(((left @ table) * right).sum(axis=1), left.sum(axis=1) * right.sum(axis=1))
        return Rounds(values, min(len(ours), len(theirs)))

    def mean(self, values: Array, groups: Sequence[str], *, share: bool = False) -> Rounds:
        """Return the mean of the values that are not NaN."""
        kept = np.isfinite(values)
        if not kept.any():
            return self._unknown()
        known = [name for name, keep in zip(groups, kept, strict=True) if keep]
        means, times = group_means(values[kept], known), self.times(sorted(set(known)))
        return Rounds(_ratio(times @ means, times.sum(axis=1)), len(means), share)

    def _unknown(self) -> Rounds:
        return Rounds(np.full(len(self._times), math.nan), 0)


def figures(rounds: Mapping[str, Rounds], ours: str, missing: Mapping[str, int] | None = None) -> dict[str, Figure]:
    """Turn the contenders' resamples into figures with their differences from ours."""
    made = {}
    for name, measured in rounds.items():
        gap = measured.minus(rounds[ours]) if name != ours and ours in rounds else None
        difference = UNKNOWN if gap is None else gap.estimate(least=LEAST_PATIENTS)
        made[name] = Figure(measured.estimate(), difference, (missing or {}).get(name, 0))
    return made


def group_means(values: Array, groups: Sequence[str]) -> Array:
    """Average ``[item, ...]`` by group to ``[group, ...]``, groups in alphabetical order."""
    _, which, counts = np.unique(np.array(groups, dtype=str), return_inverse=True, return_counts=True)
    members = np.zeros((len(counts), len(groups)))
    members[which, np.arange(len(groups))] = 1.0
    means: Array = ((members @ values).T / counts).T
    return means


def least(values: Iterable[float]) -> Array:
    """Return the values with -inf, the least suspicious, for NaN."""
    numbers = np.asarray(list(values), dtype=np.float64)
    counted: Array = np.where(np.isnan(numbers), -math.inf, numbers)
    return counted


def _draw(count: int, rounds: int, seed: int) -> Array:
    chances = np.full(count, 1.0 / count)
    return np.random.default_rng(seed).multinomial(count, chances, size=rounds).astype(np.float64)


def _ratio(above: Array, below: Array) -> Array:
    """Divide; NaN where there is nothing to divide by."""
    quotient: Array = np.divide(above, below, out=np.full(len(above), math.nan), where=below > 0)
    return quotient
