"""The paper's protocol: the place is told, and a patch around it is scored (arXiv 2407.15169, sections 5 and 6).

Injected nodules are compared with real ones, removed ones with healthy tissue, so that a contender that merely finds
nodules gains nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from tamperscan.bench.cases import Case, Kind, Target, Task
from tamperscan.bench.protocols.evidence import Evidence
from tamperscan.bench.protocols.resampling import Draws, Figure, Rounds, figures, least

PAPER_AUC: Final[MappingProxyType[Task, float]] = MappingProxyType({"inject": 0.90, "remove": 0.96})
"""What the paper reports on its own patches, averaged over modalities and generators."""

KINDS: Final[MappingProxyType[Task, tuple[Kind, Kind]]] = MappingProxyType(
    {"inject": ("injected", "nodule"), "remove": ("removed", "healthy")}
)
"""What is told apart in each task: tampered places, and authentic ones of the same look."""


@dataclass(frozen=True)
class PaperColumn:
    """One generator in one task.

    Attributes
    ----------
    modality, generator, task
        What was tampered with, by what, and how.
    places, scans, patients
        Tampered places that any contender could score, and what they are of.
    authentic_places, authentic_patients
        Real nodules (injection) or healthy places (removal) that they are compared with.
    left_out
        Places on both sides that no contender could score.
    auc
        By contender.
    """

    modality: str
    generator: str
    task: Task
    places: int
    scans: int
    patients: int
    authentic_places: int
    authentic_patients: int
    left_out: int
    auc: Mapping[str, Figure]


@dataclass(frozen=True)
class PaperAverage:
    """The mean over generators; each counts alike.

    Attributes
    ----------
    modality
        Empty for all.
    task
        The task.
    generators
        What it is the mean of.
    auc
        By contender.
    """

    modality: str
    task: Task
    generators: tuple[str, ...]
    auc: Mapping[str, Figure]

    @property
    def paper(self) -> float:
        """What the paper reports."""
        return PAPER_AUC[self.task]


@dataclass(frozen=True)
class PaperResult:
    """What came of the protocol.

    Attributes
    ----------
    columns
        By modality, task and generator.
    averages
        By modality and task, then over all modalities where there are several.
    """

    columns: tuple[PaperColumn, ...]
    averages: tuple[PaperAverage, ...]


@dataclass(frozen=True)
class _Places:
    """Known places of one kind: of which case, its patient, and every contender's scores."""

    cases: list[str]
    groups: list[str]
    scores: dict[str, list[float]]
    left_out: int


def measure_paper(evidence: Evidence) -> PaperResult:
    """Compute the protocol."""
    draws = Draws(case.group for case in evidence.cases)
    measured = [_column(evidence, draws, *key) for key in _keys(evidence.cases)]
    return PaperResult(tuple(column for column, _ in measured), tuple(_averages(evidence, measured)))


def _keys(cases: Sequence[Case]) -> list[tuple[str, Task, str]]:
    return sorted({(case.modality, case.task, case.generator) for case in cases if case.task is not None})


def _column(
    evidence: Evidence, draws: Draws, modality: str, task: Task, generator: str
) -> tuple[PaperColumn, dict[str, Rounds]]:
    tampered, authentic = KINDS[task]
    alike = [case for case in evidence.cases if case.modality == modality]
    chosen = [case for case in alike if case.task == task and case.generator == generator]
    positives, negatives = _places(evidence, chosen, tampered), _places(evidence, alike, authentic)
    rounds = {
        name: draws.auc(
            least(positives.scores[name]), least(negatives.scores[name]), positives.groups, negatives.groups
        )
        for name in evidence.contenders
    }
    told = {name: positives.scores[name] + negatives.scores[name] for name in evidence.contenders}
    missing = {name: sum(map(math.isnan, scores)) for name, scores in told.items()}
    column = PaperColumn(
        modality=modality,
        generator=generator,
        task=task,
        places=len(positives.groups),
        scans=len(set(positives.cases)),
        patients=len(set(positives.groups)),
        authentic_places=len(negatives.groups),
        authentic_patients=len(set(negatives.groups)),
        left_out=positives.left_out + negatives.left_out,
        auc=figures(rounds, evidence.ours, missing),
    )
    return column, rounds


def _places(evidence: Evidence, cases: Sequence[Case], kind: Kind) -> _Places:
    """Collect every contender's scores of the places of a kind; places that none could score are left out."""
    wanted = [(case, target) for case in cases for target in dict.fromkeys(case.targets) if target.kind == kind]
    told = [{name: _score(evidence, name, case, target) for name in evidence.contenders} for case, target in wanted]
    known = [not all(math.isnan(score) for score in scores.values()) for scores in told]
    kept = [case for (case, _), keep in zip(wanted, known, strict=True) if keep]
    return _Places(
        cases=[case.name for case in kept],
        groups=[case.group for case in kept],
        scores={
            name: [scores[name] for scores, keep in zip(told, known, strict=True) if keep]
            for name in evidence.contenders
        },
        left_out=known.count(False),
    )


def _score(evidence: Evidence, contender: str, case: Case, target: Target) -> float:
    told = (each.score for each in evidence.score(contender, case).targets if each.target == target)
    return next(told, math.nan)


def _averages(evidence: Evidence, measured: Sequence[tuple[PaperColumn, dict[str, Rounds]]]) -> list[PaperAverage]:
    modalities = sorted({column.modality for column, _ in measured})
    wanted = [*modalities, ""] if len(modalities) > 1 else modalities
    averages = []
    for modality in wanted:
        for task in KINDS:
            chosen = [
                (column, rounds)
                for column, rounds in measured
                if column.task == task
                and modality in ("", column.modality)
                and column.places
                and column.authentic_places
            ]
            if chosen:
                averages.append(_average(evidence, modality, task, chosen))
    return averages


def _average(
    evidence: Evidence, modality: str, task: Task, chosen: Sequence[tuple[PaperColumn, dict[str, Rounds]]]
) -> PaperAverage:
    rounds = {
        name: Rounds(
            np.mean([each[name].values for _, each in chosen], axis=0), min(each[name].groups for _, each in chosen)
        )
        for name in evidence.contenders
    }
    names = tuple(column.generator if modality else f"{column.generator} ({column.modality})" for column, _ in chosen)
    return PaperAverage(modality, task, names, figures(rounds, evidence.ours))
