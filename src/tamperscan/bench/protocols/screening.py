"""The harder protocol: no place is told, as in screening.

Slices and whole scans are scored by their highest suspicion; thresholds come from authentic calibration scans alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from tamperscan.bench.cases import Case, Task
from tamperscan.bench.metrics import equal_weights
from tamperscan.bench.protocols.columns import Comparand, Reference, ScreeningColumn, measure_column
from tamperscan.bench.protocols.evidence import Evidence
from tamperscan.bench.protocols.froc import Points, froc_curve, thinned
from tamperscan.bench.protocols.resampling import Draws
from tamperscan.bench.protocols.thresholds import Side, Threshold, Unit, authentic_side, limits_of, measure_thresholds

SEVERAL: Final = "all"
"""The generator of a column that pools all of them."""

CurveKind = Literal["roc", "froc per slice", "froc per scan"]


@dataclass(frozen=True)
class Curve:
    """An operating curve of a contender; patients count alike.

    Attributes
    ----------
    kind
        ``"roc"`` (of slices), ``"froc per slice"`` or ``"froc per scan"``.
    contender, modality, generator, task
        Whose it is, and on what.
    false, true
        Points from left to right: share of authentic slices, or false marks a unit; and share of tampered slices, or
        of places, that is found.
    """

    kind: CurveKind
    contender: str
    modality: str
    generator: str
    task: Task
    false: tuple[float, ...]
    true: tuple[float, ...]


@dataclass(frozen=True)
class ScreeningResult:
    """What came of the protocol.

    Attributes
    ----------
    columns
        By modality and task: each generator, then all together where there are several.
    thresholds
        By modality, contender, unit and rate.
    curves
        Of every contender in every column.
    """

    columns: tuple[ScreeningColumn, ...]
    thresholds: tuple[Threshold, ...]
    curves: tuple[Curve, ...]


def measure_screening(
    evidence: Evidence, report: Callable[[int, int], None] = lambda done, total: None
) -> ScreeningResult:
    """Compute the protocol.

    Parameters
    ----------
    evidence
        What was measured.
    report
        Called with (columns done, columns in all).
    """
    draws = Draws(case.group for case in evidence.cases)
    thresholds = measure_thresholds(evidence, draws)
    references = {
        modality: Reference(authentic_side(evidence, evidence.cases, modality), draws)
        for modality in sorted({case.modality for case in evidence.cases})
    }
    wanted = list(columns_of(evidence.cases))
    columns: list[ScreeningColumn] = []
    curves: list[Curve] = []
    for done, (generator, cases) in enumerate(wanted, start=1):
        modality = cases[0].modality
        compared = Comparand(evidence, cases, references[modality])
        limits = limits_of(thresholds, modality)
        columns.append(measure_column(evidence, draws, compared, limits, generator=generator))
        curves += _curves(evidence, compared, columns[-1])
        report(done, len(wanted))
    return ScreeningResult(tuple(columns), thresholds, tuple(curves))


def columns_of(cases: tuple[Case, ...]) -> Iterator[tuple[str, list[Case]]]:
    """Yield (generator, tampered cases) for every modality and task, and last of each all generators together."""
    for modality, task in sorted({(case.modality, case.task) for case in cases if case.task is not None}):
        chosen = [case for case in cases if case.modality == modality and case.task == task]
        generators = sorted({case.generator for case in chosen})
        for generator in generators:
            yield generator, [case for case in chosen if case.generator == generator]
        if len(generators) > 1:
            yield SEVERAL, chosen


def _curves(evidence: Evidence, compared: Comparand, column: ScreeningColumn) -> Iterator[Curve]:
    for name in evidence.contenders:
        for kind, points in _points(compared, name).items():
            yield Curve(kind, name, column.modality, column.generator, column.task, *points)


def _points(compared: Comparand, name: str) -> dict[CurveKind, Points]:
    units: dict[CurveKind, Unit] = {"froc per slice": "slice", "froc per scan": "scan"}
    froc = {
        kind: froc_curve(compared.finds(name, unit), compared.reference.marks(name, unit)[0])
        for kind, unit in units.items()
    }
    return {"roc": _roc(compared.tampered, compared.reference.side, name), **froc}


def _roc(tampered: Side, authentic: Side, name: str) -> Points:
    """Return the operating curve of slices."""
    positives, negatives = tampered.scores(name, "slice"), authentic.scores(name, "slice")
    if not len(positives) or not len(negatives):
        return (), ()
    limits = np.concatenate([[math.inf], np.unique(np.concatenate([positives, negatives]))[::-1]])
    limits = limits[thinned(len(limits))]
    weights = [equal_weights(side.groups("slice")) for side in (tampered, authentic)]
    true, false = (
        tuple(float(weight @ (scores >= limit) / weight.sum()) for limit in limits)
        for weight, scores in zip(weights, (positives, negatives), strict=True)
    )
    return false, true
