"""Thresholds from authentic calibration scans alone, and what they do to authentic scans of the test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tamperscan.bench.cases import Case
from tamperscan.bench.metrics import Array, Estimate, equal_weights, threshold_at
from tamperscan.bench.protocols.evidence import Evidence
from tamperscan.bench.protocols.resampling import Draws, least
from tamperscan.bench.protocols.views import Views, highest, slices_of, volumes_of

FALSE_ALARMS: Final = (0.01, 0.05)
"""Rates that thresholds are set for."""

Unit = Literal["slice", "scan"]
UNITS: Final[tuple[Unit, ...]] = ("slice", "scan")


@dataclass(frozen=True)
class Threshold:
    """A threshold and what it does to authentic scans.

    Attributes
    ----------
    contender, modality
        Whose it is, and for what.
    unit
        ``"slice"`` or ``"scan"``.
    false_alarms
        The rate that was aimed at; patients count alike.
    score
        What is above it is an alarm; NaN without calibration scans.
    calibration, calibration_patients
        Slices or scans that it comes from, and their patients.
    observed
        Share of authentic test slices or scans above it; patients count alike.
    authentic, authentic_patients
        How many these are.
    """

    contender: str
    modality: str
    unit: Unit
    false_alarms: float
    score: float
    calibration: int
    calibration_patients: int
    observed: Estimate
    authentic: int
    authentic_patients: int


@dataclass(frozen=True)
class Side:
    """The slices of some scans, and those scans that are more than one slice.

    Attributes
    ----------
    slices
        Those that any contender could score.
    volumes
        Put together by scan.
    """

    slices: Views
    volumes: tuple[Views, ...]

    def groups(self, unit: Unit) -> list[str]:
        """Return the patient of each slice or scan."""
        if unit == "slice":
            return self.slices.groups
        return [volume.slices[0].case.group for volume in self.volumes]

    def units(self, unit: Unit) -> list[Views]:
        """Return the slices one by one, or the scans."""
        return [Views((view,)) for view in self.slices.slices] if unit == "slice" else list(self.volumes)

    def scores(self, contender: str, unit: Unit) -> Array:
        """Return a contender's score of each slice or scan; the least where it gave none."""
        if unit == "slice":
            return self.slices.suspicion(contender, lambda score: score.score)
        return least(highest(volume, contender, lambda score: score.score) for volume in self.volumes)

    def rests(self, contender: str, unit: Unit) -> tuple[Array, list[str]]:
        """Return the highest suspicion in the untouched rest of each slice or scan, and its patient.

        Those without such a rest are left out: there is nothing to control.
        """
        rests = [highest(each, contender, lambda score: score.rest) for each in self.units(unit)]
        known = [(rest, group) for rest, group in zip(rests, self.groups(unit), strict=True) if not math.isnan(rest)]
        return np.array([rest for rest, _ in known], np.float64), [group for _, group in known]


def authentic_side(evidence: Evidence, cases: Sequence[Case], modality: str) -> Side:
    """Collect the slices of the authentic scans of a modality."""
    views = slices_of(evidence, [case for case in cases if case.modality == modality and not case.tampered])
    return Side(views, tuple(volumes_of(views)))


def measure_thresholds(evidence: Evidence, draws: Draws) -> tuple[Threshold, ...]:
    """Set a threshold for every contender, modality, unit and rate."""
    return tuple(
        threshold
        for modality in sorted({case.modality for case in evidence.cases})
        for threshold in _of_modality(evidence, draws, modality)
    )


def limits_of(thresholds: Sequence[Threshold], modality: str) -> Mapping[tuple[str, Unit, float], float]:
    """Return the scores by contender, unit and rate."""
    return {
        (each.contender, each.unit, each.false_alarms): each.score for each in thresholds if each.modality == modality
    }


def _of_modality(evidence: Evidence, draws: Draws, modality: str) -> list[Threshold]:
    before = authentic_side(evidence, evidence.calibration, modality)
    after = authentic_side(evidence, evidence.cases, modality)
    return [
        _threshold(draws, before, after, contender, modality, unit, rate)
        for contender in evidence.contenders
        for unit in UNITS
        for rate in FALSE_ALARMS
    ]


def _threshold(
    draws: Draws, before: Side, after: Side, contender: str, modality: str, unit: Unit, rate: float
) -> Threshold:
    learned, tested = before.groups(unit), after.groups(unit)
    score = threshold_at(before.scores(contender, unit), rate, equal_weights(learned)) if learned else math.nan
    alarms = above(after.scores(contender, unit), score)
    return Threshold(
        contender=contender,
        modality=modality,
        unit=unit,
        false_alarms=rate,
        score=score,
        calibration=len(learned),
        calibration_patients=len(set(learned)),
        observed=draws.mean(alarms, tested, share=True).estimate(),
        authentic=len(tested),
        authentic_patients=len(set(tested)),
    )


def above(scores: Array, limit: float) -> Array:
    """Return 1 for scores above a threshold, 0 for others, NaN where there is no threshold."""
    alarms: Array = np.where(math.isnan(limit), math.nan, (scores > limit).astype(np.float64))
    return alarms
