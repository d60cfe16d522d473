"""What the figures of a comparison say, in sentences that are made of them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tamperscan.bench.comparison_tables import TASKS
from tamperscan.bench.protocols.columns import MEASURES
from tamperscan.bench.protocols.paper import PaperResult
from tamperscan.bench.protocols.resampling import LEAST_PATIENTS, Figure
from tamperscan.bench.protocols.screening import SEVERAL, ScreeningResult
from tamperscan.bench.tables import estimate, paragraph

FEW_NODULES: Final = 20
FEW_PATIENTS: Final = 5

# What contenders are judged by; the rest follows from these or is a control.
JUDGED: Final = ("slice_auc", "slice_tpr_5", "localised", "within", "pixel_auc", "scan_auc", "froc_slice_1")


@dataclass(frozen=True)
class Contest:
    """One column of a table: our figure, and the best of the others.

    Attributes
    ----------
    what, measure
        Modality, task and generator; and the measure.
    ours, best
        Our figure, and the highest other one.
    name
        Whose that is.
    """

    what: str
    measure: str
    ours: Figure
    best: Figure
    name: str

    @property
    def lost(self) -> bool:
        """Whether another contender is higher."""
        return self.best.estimate.value > self.ours.estimate.value

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.best.differs

    def words(self) -> str:
        """Tell it as an item of a list."""
        gap = estimate(self.best.gap)
        values = f"{self.name} {self.best.estimate.value:.2f}, ours {self.ours.estimate.value:.2f}"
        return f"- {self.what}, {self.measure}: {values}, difference {gap}"


def contests(paper: PaperResult, screening: ScreeningResult, ours: str) -> Iterator[Contest]:
    """Yield every column in which both we and another contender have a figure; single generators alone."""
    for column in paper.columns:
        what = f"{column.modality}, {TASKS[column.task]} by {column.generator}"
        yield from _contest(what, "AUC with the place told", column.auc, ours)
    for each in screening.columns:
        if each.generator != SEVERAL:
            for key in JUDGED:
                what = f"{each.modality}, {TASKS[each.task]} by {each.generator}"
                yield from _contest(what, _measure(key), each.measures[key], ours)


def in_short(paper: PaperResult, screening: ScreeningResult, ours: str) -> str:
    """Tell who is highest in the means and in all generators together, and how ours compares with the paper."""
    told = [
        _leader(
            f"place told, {TASKS[one.task]} in {one.modality or 'all modalities'}, mean of {len(one.generators)}"
            f" {'generator' if len(one.generators) == 1 else 'generators'}",
            one.auc,
            ours,
            f"; the paper reports {one.paper:.2f}",
        )
        for one in paper.averages
    ]
    for modality, task in dict.fromkeys((column.modality, column.task) for column in screening.columns):
        whole = [column for column in screening.columns if (column.modality, column.task) == (modality, task)][-1]
        name = "all generators" if whole.generator == SEVERAL else whole.generator
        told.append(
            _leader(
                f"no place told, {TASKS[task]} in {modality}, {name}, AUC per slice", whole.measures["slice_auc"], ours
            )
        )
    return "\n".join(line for line in told if line) or "Nothing could be measured."


def where_ours_loses(paper: PaperResult, screening: ScreeningResult, ours: str) -> str:
    """Tell in which columns another contender is higher, and where the interval of the difference leaves out 0."""
    everything = list(contests(paper, screening, ours))
    if not everything:
        return f"There is no column in which both {ours} and another contender have a figure."
    lost = [contest for contest in everything if contest.lost]
    clear = [contest for contest in lost if contest.clear]
    won = [contest for contest in everything if not contest.lost and contest.clear]
    words = paragraph(
        f"Of {len(everything)} columns (a generator, a task and a measure), another contender is higher than ours in",
        f"{len(lost)}; in {len(clear)} of these the interval of the difference leaves out 0. In {len(won)} columns",
        "ours is higher than the best of the others by an interval that leaves out 0. Which of the others is the best",
        "is chosen by the same scans, and with so many columns some intervals leave out 0 by chance. Of fewer than",
        f"{LEAST_PATIENTS} patients on a side a difference is given no interval.",
    )
    sections = [words]
    if clear:
        sections += ["Clearly lost:", "\n".join(contest.words() for contest in _by_gap(clear))]
    rest = [contest for contest in lost if not contest.clear]
    if rest:
        counts = Counter(contest.measure for contest in rest).most_common()
        told = ", ".join(f"{count} of {measure}" for measure, count in counts)
        sections.append(paragraph(f"Lost, but within what chance can do, or on too few patients to tell: {told}."))
    return "\n\n".join(sections)


def caveats(paper: PaperResult, screening: ScreeningResult, notes: Sequence[str]) -> str:
    """Tell what to hold against the figures, as a list."""
    told = [
        *_few_nodules(paper),
        *_few_patients(screening),
        *_modalities(paper, screening),
        "Healthy places were drawn at random where the tissue looks healthy and no reader marked anything near; nobody"
        " has looked at each.",
        "Where all resamples agree, as at an AUC of 1, the interval has no width; that does not make the figure sure."
        " Shares of which all or none are hits have a binomial interval of so many patients instead.",
        *notes,
    ]
    return "\n".join(f"- {note}" for note in told)


def _few_nodules(paper: PaperResult) -> list[str]:
    counts = {column.modality: column.authentic_places for column in paper.columns if column.task == "inject"}
    return [
        f"Injection in {modality}, place told, is compared with only {count} real nodules; a figure that rests on fewer"
        f" than {FEW_NODULES} says little, whatever its interval."
        if count
        else f"There was no real nodule in {modality} to compare injection with."
        for modality, count in counts.items()
        if count < FEW_NODULES
    ]


def _few_patients(screening: ScreeningResult) -> list[str]:
    few = [
        f"{column.modality} {TASKS[column.task]} by {column.generator} ({column.patients})"
        for column in screening.columns
        if column.generator != SEVERAL and column.patients < FEW_PATIENTS
    ]
    told = [f"Tampered scans of fewer than {FEW_PATIENTS} patients stand behind: {', '.join(few)}."] if few else []
    volumes = {column.modality: column.authentic_volumes for column in screening.columns}
    told += [
        f"Figures per scan in {modality} are against {count} authentic volumes."
        for modality, count in volumes.items()
        if count < FEW_PATIENTS
    ]
    return told


def _modalities(paper: PaperResult, screening: ScreeningResult) -> list[str]:
    measured = {column.modality for column in paper.columns} | {column.modality for column in screening.columns}
    return [f"Nothing tampered in {modality} was measured." for modality in ("CT", "MR") if modality not in measured]


def _contest(what: str, measure: str, figures: Mapping[str, Figure], ours: str) -> Iterator[Contest]:
    others = {name: figure for name, figure in figures.items() if name != ours and _is_known(figure)}
    if ours in figures and _is_known(figures[ours]) and others:
        name = max(others, key=lambda each: others[each].estimate.value)
        yield Contest(what, measure, figures[ours], others[name], name)


def _leader(what: str, figures: Mapping[str, Figure], ours: str, beside: str = "") -> str:
    known = {name: figure for name, figure in figures.items() if _is_known(figure)}
    if not known:
        return ""
    name = max(known, key=lambda each: known[each].estimate.value)
    told = f"- {what}: {'ours' if name == ours else name} is highest with {estimate(known[name].estimate)}"
    if name != ours:
        mine = estimate(known[ours].estimate) if ours in known else "no figure"
        told += f", ours has {mine}"
    return f"{told}{beside}."


def _by_gap(lost: Sequence[Contest]) -> list[Contest]:
    return sorted(lost, key=lambda contest: -contest.best.gap.value)


def _measure(key: str) -> str:
    return "places found at 1 false mark a slice" if key == "froc_slice_1" else MEASURES[key]


def _is_known(figure: Figure) -> bool:
    return not math.isnan(figure.estimate.value)
