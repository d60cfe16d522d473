"""Every contender on the same tampered scans: what is known of the run, and the page that tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tamperscan.bench.cases import Case
from tamperscan.bench.comparison_tables import paper_tables, screening_tables, threshold_tables, transfer_tables
from tamperscan.bench.comparison_words import caveats, in_short, where_ours_loses
from tamperscan.bench.datasets.rows import DataSet
from tamperscan.bench.document import Provenance
from tamperscan.bench.metrics import ROUNDS
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.bench.protocols.paper import PaperResult
from tamperscan.bench.protocols.screening import ScreeningResult
from tamperscan.bench.protocols.transfer import TransferResult
from tamperscan.bench.tables import paragraph, table

SECTION: Final = "comparison"
"""Name of the section of docs/results.md."""


@dataclass(frozen=True)
class ContenderRecord:
    """What is known of a contender.

    Attributes
    ----------
    name
        As in tables.
    source
        Who described it.
    settings
        What decides its result.
    learned
        What it said of its learning: steps, crops, loss, seconds.
    problem
        Why it is left out of the figures; empty if it is in them.
    """

    name: str
    source: str
    settings: Mapping[str, Any]
    learned: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class DataRecord:
    """What was read of a data set.

    Attributes
    ----------
    name
        For people.
    tampered, authentic
        Cases.
    patients
        Groups of them.
    unreadable
        Cases whose scan could not be read.
    skipped
        Rows that could not be used, by reason.
    """

    name: str
    tampered: int
    authentic: int
    patients: int
    unreadable: int
    skipped: Mapping[str, int]


@dataclass(frozen=True)
class Comparison:
    """Everything that ``results.json`` holds.

    Attributes
    ----------
    ours
        Name of our contender, which the others are compared with.
    contenders
        All of them, the ones that failed, too.
    data
        Test data sets, and the calibration scans.
    paper, screening, transfer
        What came of the protocols.
    origin
        Command and commit.
    seeds
        Of weights, resampling and the like, by name.
    versions
        Of packages, by name.
    budget_seconds
        What each contender may have spent on learning.
    seconds
        What the run took; with what it took from caches, over all its parts.
    notes
        Further things to hold against the figures, a sentence or more each.
    """

    ours: str
    contenders: tuple[ContenderRecord, ...]
    data: tuple[DataRecord, ...]
    paper: PaperResult
    screening: ScreeningResult
    transfer: TransferResult
    origin: Provenance
    seeds: Mapping[str, int]
    versions: Mapping[str, str]
    budget_seconds: float
    seconds: float
    notes: tuple[str, ...] = ()


def record_data(name: str, data: DataSet, facts: Mapping[str, CaseFacts]) -> DataRecord:
    """Count what was read of a data set.

    Parameters
    ----------
    name
        For people.
    data
        As its reader gave it.
    facts
        By name of the case; a case without any counts as unreadable.
    """
    return DataRecord(
        name=name,
        tampered=sum(case.tampered for case in data.cases),
        authentic=sum(not case.tampered for case in data.cases),
        patients=len({case.group for case in data.cases}),
        unreadable=sum(_unreadable(case, facts) for case in data.cases),
        skipped=dict(Counter(row.reason for row in data.skipped).most_common()),
    )


def _unreadable(case: Case, facts: Mapping[str, CaseFacts]) -> bool:
    return case.name not in facts or not facts[case.name].readable


def comparison_page(comparison: Comparison) -> str:
    """Tell a comparison as a section of Markdown."""
    paper, screening, transfer = comparison.paper, comparison.screening, comparison.transfer
    sections = [
        "## Every detector on the same tampered scans",
        _head(comparison),
        "### In short",
        in_short(paper, screening, comparison.ours),
        "### Where ours loses",
        where_ours_loses(paper, screening, comparison.ours),
        "### What was measured on",
        _data(comparison.data),
        "### Contenders",
        _contenders(comparison),
        "### The place is told: the paper's protocol",
        *paper_tables(paper, comparison.ours),
        "### No place is told: screening",
        *screening_tables(screening, comparison.ours),
        "#### Thresholds",
        *threshold_tables(screening),
        "### What carries over: unseen generators, unseen scanners",
        *transfer_tables(transfer, comparison.ours),
        "### What to hold against it",
        caveats(paper, screening, comparison.notes),
    ]
    return "\n\n".join(section for section in sections if section)


def _head(comparison: Comparison) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in comparison.versions.items())
    seeds = ", ".join(f"{name} {seed}" for name, seed in comparison.seeds.items())
    return paragraph(
        comparison.origin.markdown(),
        f"It took {_duration(comparison.seconds)}; each contender had {_duration(comparison.budget_seconds)} to learn"
        " in, from the same authentic scans.",
        f"In brackets: 95 % bootstrap intervals over patients, each drawn with everything that is of it ({ROUNDS}",
        "resamples); every patient counts alike. **Bold**: the highest of a column. A plus or minus: higher or lower",
        f"than {comparison.ours}, which is ours, with an interval of the difference that leaves out 0, both taken from",
        "the same resamples. A dash: nothing could be measured.",
        f"Versions: {versions or 'not recorded'}. Seeds: {seeds or 'not recorded'}.",
    )


def _data(data: Sequence[DataRecord]) -> str:
    head = ["data set", "tampered", "authentic", "patients", "unreadable", "rows skipped"]
    rows = [
        [one.name, *map(str, (one.tampered, one.authentic, one.patients, one.unreadable, sum(one.skipped.values())))]
        for one in data
    ]
    reasons = [f"- {one.name}: {count} x {reason}" for one in data for reason, count in one.skipped.items()]
    told = ["Rows were skipped because each of them:", "\n".join(reasons)] if reasons else ["No row was skipped."]
    return "\n\n".join([table(head, rows), *told])


def _contenders(comparison: Comparison) -> str:
    head = ["contender", "described by", "learned", "scores missing"]
    missing = _missing(comparison)
    rows = [
        [
            _name(one.name, comparison.ours),
            one.source,
            (one.problem and f"left out: {one.problem}") or _learned(one.learned),
            str(missing.get(one.name, "–")),
        ]
        for one in comparison.contenders
    ]
    words = paragraph(
        "A score that a contender did not give, where another did, counts as its least suspicious one, in tampered and",
        "in authentic scans alike. Slices and places that none could score are left out for all.",
    )
    return f"{table(head, rows)}\n\n{words}"


def _missing(comparison: Comparison) -> dict[str, int]:
    """Count the scores that each contender did not give: of places, and of slices."""
    figures = [column.auc for column in comparison.paper.columns]
    figures += [column.measures["slice_auc"] for column in comparison.transfer.generators]
    names = {name for each in figures for name in each}
    return {name: sum(each[name].missing for each in figures if name in each) for name in names}


def _learned(learned: Mapping[str, Any]) -> str:
    told = [f"{name} {_short(value)}" for name, value in learned.items() if isinstance(value, int | float | str)]
    return ", ".join(told) or "nothing"


def _short(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _name(name: str, ours: str) -> str:
    return f"{name} (ours)" if name == ours else name


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
