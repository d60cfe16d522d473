"""From what a contender measured to the scores that every protocol is computed from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tamperscan.bench.cases import Case, Target
from tamperscan.bench.cuts import Cuts, PlaceCut, SliceCut, tampering
from tamperscan.bench.grids import Grid, Map
from tamperscan.bench.masks import nodes_of
from tamperscan.bench.measuring import Measurements
from tamperscan.bench.places import HIT_MM, Place
from tamperscan.bench.scores import CaseScore, SliceScore, TargetScore
from tamperscan.bench.signs import Sides, Sign, learn_sign
from tamperscan.bench.slice_scores import pixel_auc, score_slice

GridOf = Callable[[str], Grid]


@dataclass(frozen=True)
class Signs:
    """How a contender's energy becomes suspicion.

    Attributes
    ----------
    nodes, patches
        Learned from the nodes of authentic slices, and from authentic patches; None for a finished map, which is
        taken as it is.
    """

    nodes: Sign | None = None
    patches: Sign | None = None


def learn_signs(cases: Sequence[Case], cuts: Mapping[str, Cuts], measured: Measurements) -> Signs:
    """Learn from authentic calibration cases how a contender's energy lies.

    Parameters
    ----------
    cases
        Authentic cases, of patients that are in no test.
    cuts
        What was looked at of them, by name.
    measured
        What the contender made of it.

    Raises
    ------
    BenchError
        If it made nothing of them.
    """
    slices = [(case.group, one) for case in cases for one in cuts[case.name].slices if not measured.problem(one.key)]
    places = [
        (case.group, one) for case in cases for one in _healthy(case, cuts[case.name]) if not measured.problem(one.key)
    ]
    return Signs(
        learn_sign([measured.energies(one.key) for _, one in slices], [group for group, _ in slices]),
        learn_sign([[measured.patch(one)] for _, one in places], [group for group, _ in places]),
    )


def _healthy(case: Case, cuts: Cuts) -> list[PlaceCut]:
    """Return the places of an authentic case at which no reader marked anything."""
    if not case.targets:
        return list(cuts.places)
    return [place for target, place in zip(case.targets, cuts.places, strict=True) if target.kind == "healthy"]


class Scorer:
    """Turns one contender's measurements into scores.

    Parameters
    ----------
    measured
        What the contender measured.
    signs
        How its energy becomes suspicion.
    sides
        Whether much energy is suspicious, or both much and little.
    grid_of
        Gives the grid of a stored slice by its key.
    avoided
        For each group the (row, column) of tampering on record in any of its slices that are cases by themselves: what
        was tampered with may reach into the others.
    """

    def __init__(
        self,
        measured: Measurements,
        signs: Signs,
        sides: Sides,
        grid_of: GridOf,
        avoided: Mapping[tuple[str, str], Sequence[Place]] = MappingProxyType({}),
    ) -> None:
        self._measured, self._signs, self._sides, self._grid_of = measured, signs, sides, grid_of
        self._avoided = avoided

    def score(self, case: Case, cuts: Cuts) -> CaseScore:
        """Score a case; one that could not be read or measured says why."""
        keys = [*(one.key for one in cuts.slices), *(one.key for one in cuts.places)]
        problem = cuts.facts.problem or next(filter(None, map(self._measured.problem, keys)), "")
        if problem:
            return CaseScore(case.name, problem=problem)
        targets = zip(case.targets, cuts.places, strict=True) if case.targets else ()
        return CaseScore(
            case=case.name,
            slices=tuple(self._slice(case, cuts, one) for one in cuts.slices),
            targets=tuple(TargetScore(target, self._patch(place)) for target, place in targets),
            pixel_auc=self._pixel_auc(cuts),
            seconds=sum(map(self._measured.took, dict.fromkeys(keys))),
        )

    def suspicion(self, key: str) -> Map:
        """Return float32 ``[row, column]``: a slice's suspicion at its nodes, NaN elsewhere."""
        return self._grid_of(key).spread(self._nodes(key))

    def _nodes(self, key: str) -> Map:
        energies = self._measured.energies(key)
        return energies if self._signs.nodes is None else self._signs.nodes.suspicion(energies, self._sides)

    def _patch(self, place: PlaceCut) -> float:
        energy = self._measured.patch(place)
        if self._signs.patches is None:
            return energy
        return float(self._signs.patches.suspicion(energy, self._sides))

    def _slice(self, case: Case, cuts: Cuts, one: SliceCut) -> SliceScore:
        known = tampering(case)
        near = _near(known, one, cuts) if one.tampered else []
        also = self._avoided.get((case.group, case.generator), ()) if known and cuts.facts.planar else ()
        return score_slice(
            self.suspicion(one.key),
            self._grid_of(one.key),
            one.index,
            near=[(target.row, target.column) for target in near],
            all_places=[*((target.row, target.column) for target in known), *also],
            name=f"{case.name} {one.index}",
        )

    def _pixel_auc(self, cuts: Cuts) -> float:
        """Join the tampered slices: the map must hold from one slice to the next."""
        told = [(self._nodes(one.key), one.mask) for one in cuts.slices if one.mask is not None]
        if not told:
            return math.nan
        masks = [nodes_of(mask, len(values)) for values, mask in told]
        return pixel_auc(np.concatenate([values for values, _ in told]), np.concatenate(masks))


def places_by_group(cases: Iterable[Case]) -> dict[tuple[str, str], list[Place]]:
    """List the tampered places of all cases by group and generator, for `Scorer`."""
    places: dict[tuple[str, str], list[Place]] = {}
    for case in cases:
        places.setdefault((case.group, case.generator), []).extend(
            (target.row, target.column) for target in tampering(case)
        )
    return places


def _near(known: Sequence[Target], one: SliceCut, cuts: Cuts) -> list[Target]:
    """Return the places whose cube of 32 mm reaches a slice, or the nearest where none does."""
    step = cuts.facts.spacing_mm[0] if cuts.facts.spacing_mm else math.inf
    away = [0.0 if target.slice == one.index else abs(target.slice - one.index) * step for target in known]
    reach = max(HIT_MM, min(away, default=0.0))
    return [target for target, off in zip(known, away, strict=True) if off <= reach]
