"""What is measured where no place is told: tampered slices and scans against authentic ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from tamperscan.bench.cases import Case, Task
from tamperscan.bench.metrics import Array
from tamperscan.bench.protocols.evidence import Evidence
from tamperscan.bench.protocols.froc import FALSE_POSITIVES, FalseMarks, Finds, false_marks, finds, sensitivities
from tamperscan.bench.protocols.resampling import Draws, Figure, Rounds, figures
from tamperscan.bench.protocols.thresholds import FALSE_ALARMS, UNITS, Side, Unit, above
from tamperscan.bench.protocols.views import SliceView, hits, slices_of, volumes_of

MEASURES: Final[MappingProxyType[str, str]] = MappingProxyType(
    {
        "slice_auc": "AUC per slice",
        "slice_tpr_1": "slices found at 1 %",
        "slice_tpr_5": "slices found at 5 %",
        "localised": "top peak within 16 mm",
        "within": "AUC within the slice",
        "pixel_auc": "pixel AUC",
        "control": "control: untouched rest",
        "scan_auc": "AUC per scan",
        "scan_tpr_1": "scans found at 1 %",
        "scan_tpr_5": "scans found at 5 %",
        "scan_control": "control per scan",
        **{f"froc_{unit}_{rate:g}": f"{rate:g} a {unit}" for unit in UNITS for rate in FALSE_POSITIVES},
    }
)
"""What is measured, by key, and how it is told. Those of FROC are told by the false marks at which they are taken."""


@dataclass(frozen=True)
class ScreeningColumn:
    """One generator in one task.

    Attributes
    ----------
    modality, generator, task
        What was tampered with, by what, and how.
    scanners
        ``"seen"`` or ``"unseen"`` where only scans of such scanners are compared; empty for all.
    slices, scans, patients
        Tampered slices that any contender could score, the scans that have any, and their patients.
    volumes
        Those of the scans that are more than one slice, which the figures per scan are of.
    authentic_slices, authentic_patients, authentic_volumes
        What they are compared with.
    left_out
        Slices of these scans, tampered or not, that no contender could score.
    measures
        By key of `MEASURES`, then by contender.
    """

    modality: str
    generator: str
    task: Task
    scanners: str
    slices: int
    scans: int
    patients: int
    volumes: int
    authentic_slices: int
    authentic_patients: int
    authentic_volumes: int
    left_out: int
    measures: Mapping[str, Mapping[str, Figure]]


class Reference:
    """Authentic scans, with their false marks worked out once for all columns that are compared with them.

    Parameters
    ----------
    side
        The authentic slices.
    draws
        How they are resampled.
    """

    def __init__(self, side: Side, draws: Draws) -> None:
        self.side = side
        self._draws = draws
        self._known: dict[tuple[str, Unit], tuple[FalseMarks, Array]] = {}

    def marks(self, contender: str, unit: Unit) -> tuple[FalseMarks, Array]:
        """Return a contender's false marks, and the thresholds that they make (see `FalseMarks.limits`)."""
        key = contender, unit
        if key not in self._known:
            marks = false_marks(self.side.units(unit), contender)
            self._known[key] = marks, marks.limits(self._draws)
        return self._known[key]


class Comparand:
    """What a column is measured on: tampered cases, and what they are compared with.

    Parameters
    ----------
    evidence
        What was measured.
    cases
        Tampered cases of one modality and task, at least one.
    reference
        What they are compared with.
    """

    def __init__(self, evidence: Evidence, cases: Sequence[Case], reference: Reference) -> None:
        views = slices_of(evidence, cases)
        touched = {view.case.name for view in views.slices if view.tampered}
        volumes = [volume for volume in volumes_of(views) if volume.slices[0].case.name in touched]
        self.cases, self.reference = tuple(cases), reference
        self.tampered = Side(views.of(lambda view: view.tampered), tuple(volumes))
        self._found: dict[tuple[str, Unit], Finds] = {}

    def finds(self, contender: str, unit: Unit) -> Finds:
        """Return which of the tampered places a contender finds; of volumes, in all their slices."""
        key = contender, unit
        if key not in self._found:
            self._found[key] = finds(self.tampered.units(unit), contender)
        return self._found[key]


def measure_column(
    evidence: Evidence,
    draws: Draws,
    compared: Comparand,
    limits: Mapping[tuple[str, Unit, float], float],
    *,
    generator: str,
    scanners: str = "",
) -> ScreeningColumn:
    """Measure every contender.

    Parameters
    ----------
    evidence, draws
        What was measured, and how it is resampled.
    compared
        Tampered cases and authentic slices.
    limits
        Thresholds by contender, unit and rate.
    generator, scanners
        How the column is called.
    """
    first, slices, authentic = compared.cases[0], compared.tampered.slices, compared.reference.side
    assert first.task is not None
    return ScreeningColumn(
        modality=first.modality,
        generator=generator,
        task=first.task,
        scanners=scanners,
        slices=len(slices.slices),
        scans=len({view.case.name for view in slices.slices}),
        patients=len(set(slices.groups)),
        volumes=len(compared.tampered.volumes),
        authentic_slices=len(authentic.slices.slices),
        authentic_patients=len(set(authentic.slices.groups)),
        authentic_volumes=len(authentic.volumes),
        left_out=slices.left_out + authentic.slices.left_out,
        measures=_Column(evidence, draws, compared, limits).measures(),
    )


class _Column:
    """Measures every contender on the same things."""

    def __init__(
        self,
        evidence: Evidence,
        draws: Draws,
        compared: Comparand,
        limits: Mapping[tuple[str, Unit, float], float],
    ) -> None:
        self._evidence, self._draws, self._limits = evidence, draws, limits
        self._cases, self._tampered = compared.cases, compared.tampered
        self._reference, self._authentic, self._finds = compared.reference, compared.reference.side, compared.finds

    def measures(self) -> dict[str, dict[str, Figure]]:
        """Return all measures, in the order of `MEASURES`."""
        made = {
            "localised": self._each(self._localised),
            "within": self._each(self._within),
            "pixel_auc": self._each(self._pixels),
            "control": self._each(partial(self._control, unit="slice")),
            "scan_control": self._each(partial(self._control, unit="scan")),
        }
        for unit in UNITS:
            made[f"{unit}_auc"] = self._each(partial(self._auc, unit=unit), self._missing(unit))
            for rate in FALSE_ALARMS:
                made[f"{unit}_tpr_{rate * 100:g}"] = self._each(partial(self._found, unit=unit, rate=rate))
            found = {name: self._sensitivities(name, unit) for name in self._evidence.contenders}
            for place, rate in enumerate(FALSE_POSITIVES):
                rounds = {name: each[place] for name, each in found.items()}
                made[f"froc_{unit}_{rate:g}"] = figures(rounds, self._evidence.ours)
        return {key: made[key] for key in MEASURES}

    def _each(self, measure: Callable[[str], Rounds], missing: Mapping[str, int] | None = None) -> dict[str, Figure]:
        rounds = {name: measure(name) for name in self._evidence.contenders}
        return figures(rounds, self._evidence.ours, missing)

    def _auc(self, name: str, unit: Unit) -> Rounds:
        ours, theirs = self._tampered, self._authentic
        return self._draws.auc(
            ours.scores(name, unit), theirs.scores(name, unit), ours.groups(unit), theirs.groups(unit)
        )

    def _missing(self, unit: Unit) -> dict[str, int]:
        sides = (self._tampered, self._authentic)
        return {
            name: sum(int(np.isneginf(side.scores(name, unit)).sum()) for side in sides)
            for name in self._evidence.contenders
        }

    def _found(self, name: str, unit: Unit, rate: float) -> Rounds:
        alarms = above(self._tampered.scores(name, unit), self._limits.get((name, unit, rate), math.nan))
        return self._draws.mean(alarms, self._tampered.groups(unit), share=True)

    def _localised(self, name: str) -> Rounds:
        slices = self._tampered.slices
        return self._draws.mean(np.array([_top_hits(view, name) for view in slices.slices]), slices.groups, share=True)

    def _within(self, name: str) -> Rounds:
        slices = self._tampered.slices
        return self._draws.mean(np.array(slices.values(name, lambda score: score.within)), slices.groups)

    def _pixels(self, name: str) -> Rounds:
        areas = [self._evidence.score(name, case).pixel_auc for case in self._cases]
        return self._draws.mean(np.array(areas), [case.group for case in self._cases])

    def _control(self, name: str, unit: Unit) -> Rounds:
        ours, theirs = self._tampered.rests(name, unit), self._authentic.rests(name, unit)
        return self._draws.auc(ours[0], theirs[0], ours[1], theirs[1])

    def _sensitivities(self, name: str, unit: Unit) -> list[Rounds]:
        false, limits = self._reference.marks(name, unit)
        return sensitivities(self._draws, self._finds(name, unit), false, limits)


def _top_hits(view: SliceView, name: str) -> float:
    """Whether the highest peak of a slice lies at a tampered place; NaN where distances are not known."""
    if view.facts.spacing_mm is None:
        return math.nan
    peaks = view.peaks(name)
    return float(bool(peaks) and hits(peaks[0], view.places, view.facts.spacing_mm))
