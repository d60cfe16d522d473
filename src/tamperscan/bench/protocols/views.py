"""Slices as all contenders see them, and which peak hits which place."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from tamperscan.bench.cases import Case, Target
from tamperscan.bench.metrics import Array
from tamperscan.bench.places import HIT_MM, distance_mm
from tamperscan.bench.protocols.evidence import CaseFacts, Evidence
from tamperscan.bench.protocols.paper import KINDS
from tamperscan.bench.protocols.resampling import least
from tamperscan.bench.scores import Peak, SliceScore

TAMPERED = frozenset(tampered for tampered, _ in KINDS.values())


@dataclass(frozen=True)
class SliceView:
    """One slice, and what every contender made of it.

    Attributes
    ----------
    case, facts
        What it is of.
    index
        Its number in the scan.
    scores
        By contender; those who made nothing of it are not in it.
    """

    case: Case
    facts: CaseFacts
    index: int
    scores: Mapping[str, SliceScore]

    @cached_property
    def tampered(self) -> bool:
        """Whether it was tampered with in the way of its case's task."""
        return self._touched and bool(self.places)

    @cached_property
    def places(self) -> tuple[Target, ...]:
        """The tampered places of the case's task that the slice may belong to.

        All whose cube of 32 mm reaches the slice; in a tampered slice else the nearest, for masks that reach farther.
        """
        if self.case.task is None:
            return ()
        known = [target for target in self.case.targets if target.kind in TAMPERED]
        step = self.facts.spacing_mm[0] if self.facts.spacing_mm else math.inf
        away = [_along(target.slice, self.index, step) for target in known]
        reach = max(HIT_MM, min(away, default=0.0)) if self._touched else HIT_MM
        kind = KINDS[self.case.task][0]
        return tuple(target for target, off in zip(known, away, strict=True) if off <= reach and target.kind == kind)

    @property
    def _touched(self) -> bool:
        """Whether anything in the slice was tampered with, in whatever way."""
        return any(score.tampered or not math.isnan(score.within) for score in self.scores.values()) or any(
            target.slice == self.index for target in self.case.targets if target.kind in TAMPERED
        )

    def value(self, contender: str, of: Callable[[SliceScore], float]) -> float:
        """Return one value of a contender's score, NaN where it has none."""
        score = self.scores.get(contender)
        return math.nan if score is None else of(score)

    def peaks(self, contender: str) -> tuple[Peak, ...]:
        """Return a contender's peaks, highest first."""
        score = self.scores.get(contender)
        return () if score is None else score.peaks


@dataclass(frozen=True)
class Views:
    """The slices of some cases.

    Attributes
    ----------
    slices
        Those that any contender could score.
    left_out
        How many none could.
    """

    slices: tuple[SliceView, ...]
    left_out: int = 0

    def of(self, wanted: Callable[[SliceView], bool]) -> Views:
        """Return some of the slices."""
        return Views(tuple(view for view in self.slices if wanted(view)), self.left_out)

    @property
    def groups(self) -> list[str]:
        """The patient of each slice."""
        return [view.case.group for view in self.slices]

    def values(self, contender: str, of: Callable[[SliceScore], float]) -> list[float]:
        """Return one value of a contender's scores, NaN where it has none."""
        return [view.value(contender, of) for view in self.slices]

    def suspicion(self, contender: str, of: Callable[[SliceScore], float]) -> Array:
        """Return one value of a contender's scores, the least where it has none."""
        return least(self.values(contender, of))


def slices_of(evidence: Evidence, cases: Iterable[Case]) -> Views:
    """Collect the slices of some cases; those of unreadable scans are not among them."""
    views, left_out = [], 0
    for case in cases:
        scored = {name: {one.index: one for one in evidence.score(name, case).slices} for name in evidence.contenders}
        for index in sorted({index for slices in scored.values() for index in slices}):
            scores = {name: slices[index] for name, slices in scored.items() if index in slices}
            if all(math.isnan(score.score) for score in scores.values()):
                left_out += 1
            else:
                views.append(SliceView(case, evidence.facts_of(case), index, scores))
    return Views(tuple(views), left_out)


def volumes_of(views: Views) -> list[Views]:
    """Put the slices of each scan together; scans of a single slice are no volumes."""
    by_case: dict[str, list[SliceView]] = {}
    for view in views.slices:
        if not view.facts.planar:
            by_case.setdefault(view.case.name, []).append(view)
    return [Views(tuple(slices)) for slices in by_case.values()]


def highest(views: Views, contender: str, of: Callable[[SliceScore], float]) -> float:
    """Return the largest value of a scan's slices, NaN where there is none."""
    known = [value for value in views.values(contender, of) if not math.isnan(value)]
    return max(known, default=math.nan)


def hits(peak: Peak, places: Iterable[Target], spacing_mm: tuple[float, float, float]) -> bool:
    """Tell whether a peak lies within 16 mm, in its slice, of one of the places that the slice belongs to."""
    across = (spacing_mm[1], spacing_mm[2])
    here = (peak.row, peak.column)
    return any(distance_mm(here, (place.row, place.column), across) <= HIT_MM for place in places)


def _along(first: int, second: int, step: float) -> float:
    """Return the distance of two slices in mm; infinite steps are those that are not known."""
    return 0.0 if first == second else abs(first - second) * step
