"""Free-response operating curves: places found against false alarms a scan or slice.

After Chakraborty, "A brief history of free-response receiver operating characteristic paradigm data analysis", Academic
Radiology 20 (2013): every peak above a threshold is a mark; a mark within 16 mm of a tampered place finds it, and marks
in authentic scans are false. Marks in the untampered rest of tampered scans count for nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.cases import Target
from tamperscan.bench.metrics import Array, equal_weights
from tamperscan.bench.protocols.resampling import Draws, Rounds, group_means
from tamperscan.bench.protocols.views import Views, hits

FALSE_POSITIVES: Final = (0.5, 1.0, 2.0, 4.0)
"""At so many false marks a scan or slice is the sensitivity told."""

CURVE_POINTS: Final = 100

Points = tuple[tuple[float, ...], tuple[float, ...]]

_ROUNDS_AT_ONCE = 50


@dataclass(frozen=True, eq=False)
class FalseMarks:
    """The peaks in authentic units (slices, or whole scans).

    Attributes
    ----------
    scores
        ``[mark]``, highest first.
    owners
        ``[mark]``: the patient of each, as a place in ``patients``.
    shares
        ``[mark]``: what each adds to the marks a unit of its patient.
    patients
        Names.
    """

    scores: Array
    owners: NDArray[np.int64]
    shares: Array
    patients: tuple[str, ...]

    def limits(self, draws: Draws) -> Array:
        """Return ``[rate, 1 + round]``: the lowest thresholds that leave at most so many marks a unit above them.

        The rates are those of `FALSE_POSITIVES`; NaN where no patient was drawn.
        """
        times = draws.times(self.patients)
        parts = [times[first : first + _ROUNDS_AT_ONCE] for first in range(0, len(times), _ROUNDS_AT_ONCE)]
        return np.concatenate([self._limits(part) for part in parts], axis=1)

    def _limits(self, times: Array) -> Array:
        total = times.sum(axis=1, keepdims=True)
        weights = times[:, self.owners] * self.shares
        marks = np.cumsum(np.divide(weights, total, out=np.zeros_like(weights), where=total > 0), axis=1)
        lowest = np.append(self.scores, -math.inf)
        found = np.stack([lowest[(marks <= rate + 1e-9).sum(axis=1)] for rate in FALSE_POSITIVES])
        limits: Array = np.where(total[:, 0] > 0, found, math.nan)
        return limits


@dataclass(frozen=True, eq=False)
class Finds:
    """The tampered places of some units.

    Attributes
    ----------
    scores
        ``[place]``: the highest mark that finds it; -inf for none.
    groups
        The patient of each.
    """

    scores: Array
    groups: tuple[str, ...]


def false_marks(units: Sequence[Views], contender: str) -> FalseMarks:
    """Collect the peaks of authentic units; every patient counts alike."""
    owners = [unit.slices[0].case.group for unit in units]
    patients = tuple(sorted(set(owners)))
    marks = [
        (peak.score, patients.index(owner), weight)
        for unit, owner, weight in zip(units, owners, equal_weights(owners), strict=True)
        for view in unit.slices
        for peak in view.peaks(contender)
    ]
    marks.sort(key=lambda mark: -mark[0])
    scores, places, shares = zip(*marks, strict=True) if marks else ((), (), ())
    return FalseMarks(np.array(scores, np.float64), np.array(places, np.int64), np.array(shares, np.float64), patients)


def finds(units: Sequence[Views], contender: str) -> Finds:
    """Collect for each tampered place of each unit the highest mark that finds it.

    Places of scans whose spacing is not known are not among them.
    """
    scores, groups = [], []
    for unit in units:
        if unit.slices[0].facts.spacing_mm is None:
            continue
        for place in dict.fromkeys(place for view in unit.slices if view.tampered for place in view.places):
            scores.append(_highest_mark(unit, contender, place))
            groups.append(unit.slices[0].case.group)
    return Finds(np.array(scores, np.float64), tuple(groups))


def _highest_mark(unit: Views, contender: str, place: Target) -> float:
    """Return the highest score of a peak that finds a place, in any slice that belongs to the place."""
    here = [
        peak.score
        for view in unit.slices
        if place in view.places and view.facts.spacing_mm is not None
        for peak in view.peaks(contender)
        if hits(peak, [place], view.facts.spacing_mm)
    ]
    return max(here, default=-math.inf)


def sensitivities(draws: Draws, found: Finds, false: FalseMarks, limits: Array) -> list[Rounds]:
    """Return for each of `FALSE_POSITIVES` the share of the places that are found; patients count alike.

    Parameters
    ----------
    draws
        How it is resampled.
    found, false
        The tampered places, and the false marks.
    limits
        As from ``false.limits(draws)``.
    """
    if not found.groups or not false.patients:
        return [draws.mean(np.zeros(0), ())] * len(FALSE_POSITIVES)
    names = sorted(set(found.groups))
    times = draws.times(names)
    total = times.sum(axis=1)
    made = []
    for each in limits:
        hit = group_means((found.scores[:, None] > each[None, :]).astype(np.float64), found.groups)
        shares = np.divide((hit.T * times).sum(axis=1), total, out=np.full(len(total), math.nan), where=total > 0)
        values = np.where(np.isnan(each), math.nan, shares)
        made.append(Rounds(values, min(len(names), len(false.patients)), share=True))
    return made


def froc_curve(found: Finds, false: FalseMarks) -> Points:
    """Return the curve as (false marks a unit, share of places found), from none of either on."""
    if not found.groups or not false.patients:
        return (), ()
    rates = np.concatenate([[0.0], np.cumsum(false.shares) / len(false.patients)])
    weights = equal_weights(found.groups)
    limits = np.append(false.scores, -math.inf)
    chosen = thinned(len(limits))
    shares = (float(weights @ (found.scores > limit) / weights.sum()) for limit in limits[chosen])
    return tuple(float(rate) for rate in rates[chosen]), tuple(shares)


def thinned(count: int) -> NDArray[np.int64]:
    """Return which of the points of a curve to keep: at most a hundred, the ends among them."""
    kept: NDArray[np.int64] = np.unique(np.linspace(0, count - 1, min(count, CURVE_POINTS)).round().astype(np.int64))
    return kept
