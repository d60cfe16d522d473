"""Forged blocks turned into figures, by method and action."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tamperscan.bench.metrics import Estimate
from tamperscan.bench.places import HIT_MM
from tamperscan.bench.protocols.resampling import Draws, Rounds, least
from tamperscan.bench.volumes_forging import Made
from tamperscan.bench.volumes_measuring import Measured, Outcome
from tamperscan.forge.method import Action

RELATED: Final = frozenset({"copymove", "smooth"})
"""Methods that are akin to what a self-forged head learns from; the others are not."""


@dataclass(frozen=True)
class Measures:
    """How well forgeries are told from authentic scans; patients count alike.

    Attributes
    ----------
    scans, authentic
        Forged and authentic scans.
    auc
        Chance that a forged scan outscores an authentic one.
    flagged
        Share of the forged scans that are called suspicious at an alarm rate of 0.05.
    localised
        Share whose most suspicious place lies within 16 mm of the tampering.
    false_alarms
        Share of the authentic scans that are called suspicious; of those with a verdict.
    without
        Forged and authentic scans without a score: a forged one counts as the least suspicious, an authentic one is
        left out.
    """

    scans: int
    authentic: int
    auc: Estimate
    flagged: Estimate
    localised: Estimate
    false_alarms: Estimate
    without: tuple[int, int]


@dataclass(frozen=True)
class MethodResult:
    """What a detector does on one method and action.

    Attributes
    ----------
    method, action
        How, and what.
    related
        Whether the method is akin to what a self-forged head learns from.
    patients
        How many.
    whole, centre
        On blocks, and on the slice through the tampering alone.
    gain
        How much higher the AUC of blocks is.
    """

    method: str
    action: Action
    related: bool
    patients: int
    whole: Measures
    centre: Measures
    gain: Estimate


def evaluate(measured: Sequence[Measured]) -> list[MethodResult]:
    """Measure by method and action, in the order in which they were forged.

    Parameters
    ----------
    measured
        What a detector says of every forgery.
    """
    draws = Draws(one.block.patient for one in measured)
    return [
        _method(draws, [one for one in measured if kind_of(one.made) == kind])
        for kind in dict.fromkeys(kind_of(one.made) for one in measured)
    ]


def _method(draws: Draws, measured: Sequence[Measured]) -> MethodResult:
    order, patients = measured[0].made.order, [one.block.patient for one in measured]
    whole, whole_auc = _measures(
        draws,
        patients,
        [one.whole for one in measured],
        # Blocks and slices that several forgeries share are counted once.
        {one.block.key: (one.block.patient, one.whole_before) for one in measured}.values(),
    )
    centre, centre_auc = _measures(
        draws,
        patients,
        [one.centre for one in measured],
        {(one.block.key, one.made.place): (one.block.patient, one.centre_before) for one in measured}.values(),
    )
    return MethodResult(
        method=order.method.name,
        action=order.action,
        related=order.method.name in RELATED,
        patients=len(set(patients)),
        whole=whole,
        centre=centre,
        gain=whole_auc.minus(centre_auc).estimate(),
    )


def _measures(
    draws: Draws, patients: Sequence[str], forged: Sequence[Outcome], before: Iterable[tuple[str, Outcome]]
) -> tuple[Measures, Rounds]:
    """Measure one way of looking; an authentic scan that the detector gives no score tells nothing."""
    before = list(before)
    known = [(patient, one) for patient, one in before if math.isfinite(one.score)]
    judged = [(patient, one.flagged) for patient, one in before if one.flagged is not None]
    auc = draws.auc(
        least(one.score for one in forged),
        least(one.score for _, one in known),
        patients,
        [patient for patient, _ in known],
    )
    measures = Measures(
        scans=len(forged),
        authentic=len(known),
        auc=auc.estimate(),
        flagged=_share(draws, [one.flagged is True for one in forged], patients),
        localised=_share(draws, [one.off_mm <= HIT_MM for one in forged], patients),
        false_alarms=_share(draws, [flagged for _, flagged in judged], [patient for patient, _ in judged]),
        without=(sum(math.isnan(one.score) for one in forged), len(before) - len(known)),
    )
    return measures, auc


def _share(draws: Draws, hits: Sequence[bool], patients: Sequence[str]) -> Estimate:
    return draws.mean(np.array(hits, dtype=np.float64), patients, share=True).estimate()


def kind_of(made: Made) -> str:
    """Name method and action."""
    return f"{made.order.method.name} {made.order.action}"
