"""The tables of a comparison: contenders in rows, what they are measured on in columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tamperscan.bench.cases import Task
from tamperscan.bench.protocols.columns import MEASURES, ScreeningColumn
from tamperscan.bench.protocols.froc import FALSE_POSITIVES
from tamperscan.bench.protocols.paper import PaperColumn, PaperResult
from tamperscan.bench.protocols.resampling import Figure
from tamperscan.bench.protocols.screening import SEVERAL, ScreeningResult
from tamperscan.bench.protocols.thresholds import UNITS, Threshold
from tamperscan.bench.protocols.transfer import TransferResult
from tamperscan.bench.tables import estimate, number, paragraph, per_cent, table

TASKS: Final[Mapping[Task, str]] = {"inject": "injection", "remove": "removal"}
CONTROLS: Final = frozenset({"control", "scan_control"})
"""Not the higher the better: 0.5 is right."""

BY_GENERATOR: Final = ("slice_auc", "slice_tpr_5", "localised", "control")
OF_SLICES: Final = ("slice_auc", "slice_tpr_1", "slice_tpr_5", "localised", "within", "pixel_auc", "control")
OF_SCANS: Final = ("scan_auc", "scan_tpr_1", "scan_tpr_5", "scan_control")

_WHAT: Final = {
    "slice_auc": "AUC per slice: tampered slices against authentic ones, each by its highest suspicion.",
    "slice_tpr_5": "Share of tampered slices above the threshold that is set for 5 % false alarms.",
    "localised": "Share of tampered slices whose highest peak lies within 16 mm of the tampered place.",
    "control": "Control: the AUC of the untouched rest of the tampered slices. Far from 0.5 it tells data sets apart,"
    " not tampering.",
}

Columns = Sequence[tuple[str, Mapping[str, Figure]]]


def figure_table(columns: Columns, ours: str, *, plain: Sequence[str] = ()) -> str:
    """Make a table of contenders by columns.

    Parameters
    ----------
    columns
        Head, and figures by contender.
    ours
        Our contender.
    plain
        Heads of columns in which no figure is marked as the best or as different.
    """
    names = dict.fromkeys(name for _, figures in columns for name in figures)
    best = {head: _best(figures) for head, figures in columns}
    rows = [
        [
            f"{name} (ours)" if name == ours else name,
            *(
                _cell(figures.get(name), math.nan if head in plain else best[head], head in plain)
                for head, figures in columns
            ),
        ]
        for name in names
    ]
    return table(["contender", *(head for head, _ in columns)], rows)


def paper_tables(result: PaperResult, ours: str) -> list[str]:
    """Tell the paper's protocol: a table for each modality and task."""
    sections = [_paper_words()] if result.columns else ["There was nothing tampered to measure."]
    for modality, task in dict.fromkeys((column.modality, column.task) for column in result.columns):
        columns = [column for column in result.columns if (column.modality, column.task) == (modality, task)]
        shown: list[tuple[str, Mapping[str, Figure]]] = [(column.generator, column.auc) for column in columns]
        averages = [one for one in result.averages if one.task == task and one.modality in (modality, "")]
        shown += [("mean" if one.modality else "mean of all modalities", one.auc) for one in averages]
        sections += [
            f"#### {modality}, {TASKS[task]}",
            paragraph(_paper_counts(columns), *(_beside_paper(one.paper, task) for one in averages[:1])),
            figure_table(shown, ours),
        ]
    return sections


def _paper_words() -> str:
    return paragraph(
        "A patch around the given place is scored (96 px in CT, 128 px in MR); AUC against patches of authentic places",
        "that look alike: real nodules for injection, healthy tissue for removal. In the mean every generator counts",
        "alike.",
    )


def _paper_counts(columns: Sequence[PaperColumn]) -> str:
    first = columns[0]
    other = "real nodules" if first.task == "inject" else "healthy places"
    counts = ", ".join(f"{one.generator} {one.places} places of {one.patients} patients" for one in columns)
    left_out = sum(one.left_out for one in columns)
    told = f" {left_out} places that no contender could score are left out." if left_out else ""
    return (
        f"Tampered: {counts}. Authentic: {first.authentic_places} {other} of {first.authentic_patients} patients.{told}"
    )


def _beside_paper(paper: float, task: Task) -> str:
    return f"The paper reports {paper:.2f} as its mean for {TASKS[task]}, on its own patches."


def screening_tables(result: ScreeningResult, ours: str) -> list[str]:
    """Tell the screening protocol: by generator, then all generators together."""
    if not result.columns:
        return ["There was nothing tampered to measure."]
    sections = []
    for modality, task in dict.fromkeys((column.modality, column.task) for column in result.columns):
        columns = [column for column in result.columns if (column.modality, column.task) == (modality, task)]
        whole = columns[-1]
        sections += [f"#### {modality}, {TASKS[task]}", _screening_counts(columns)]
        if len(columns) > 1:
            for key in BY_GENERATOR:
                shown = [(_generator(column), column.measures[key]) for column in columns]
                heads = [head for head, _ in shown]
                sections += [_WHAT[key], figure_table(shown, ours, plain=heads if key in CONTROLS else ())]
        sections += ["All of these together." if len(columns) > 1 else "", *_whole(whole, ours)]
    return sections


def _whole(column: ScreeningColumn, ours: str) -> list[str]:
    sections = [_measures(column, OF_SLICES, ours), _measures(column, OF_SCANS, ours)]
    words = {"slice": "slice", "scan": "whole scan"}
    for unit in UNITS:
        shown = [(f"{rate:g}", column.measures[f"froc_{unit}_{rate:g}"]) for rate in FALSE_POSITIVES]
        if _known(shown):
            sections += [
                f"FROC: share of the tampered places found at so many false marks an authentic {words[unit]}.",
                figure_table(shown, ours),
            ]
    return sections


def _measures(column: ScreeningColumn, keys: Sequence[str], ours: str) -> str:
    shown = [(MEASURES[key], column.measures[key]) for key in keys]
    kept = [(head, figures) for head, figures in shown if _known([(head, figures)])]
    plain = [MEASURES[key] for key in CONTROLS]
    return figure_table(kept, ours, plain=plain) if kept else ""


def _screening_counts(columns: Sequence[ScreeningColumn]) -> str:
    counts = ", ".join(
        f"{_generator(one)} {one.slices} slices of {one.scans} scans ({one.volumes} of them volumes) of {one.patients}"
        " patients"
        for one in columns
    )
    first = columns[0]
    return paragraph(
        f"Tampered: {counts}. Authentic: {first.authentic_slices} slices of {first.authentic_patients} patients, among",
        f"them {first.authentic_volumes} volumes. Figures per scan are of volumes alone: the highest of many slices",
        "can't be compared with a single one.",
    )


def threshold_tables(result: ScreeningResult) -> list[str]:
    """Tell the false alarms that thresholds from the calibration scans bring in the test."""
    sections = []
    for modality, unit in dict.fromkeys((one.modality, one.unit) for one in result.thresholds):
        chosen = [one for one in result.thresholds if (one.modality, one.unit) == (modality, unit)]
        if chosen[0].calibration and chosen[0].authentic:
            sections += [_threshold_words(modality, chosen[0]), _threshold_table(chosen)]
    return sections or ["There were no authentic calibration scans, so there are no thresholds."]


def _threshold_words(modality: str, first: Threshold) -> str:
    return paragraph(
        f"{modality}: thresholds from {first.calibration} authentic {first.unit}s of {first.calibration_patients}",
        f"patients, and the share of false alarms on {first.authentic} authentic {first.unit}s of",
        f"{first.authentic_patients} other patients.",
    )


def _threshold_table(thresholds: Sequence[Threshold]) -> str:
    rates = list(dict.fromkeys(one.false_alarms for one in thresholds))
    told = {(one.contender, one.false_alarms): one for one in thresholds}
    names = dict.fromkeys(one.contender for one in thresholds)
    head = ["contender"]
    for rate in rates:
        head += [f"threshold for {per_cent(rate)}", "false alarms"]
    rows = [
        [
            name,
            *(cell for rate in rates for cell in (number(told[name, rate].score), estimate(told[name, rate].observed))),
        ]
        for name in names
    ]
    return table(head, rows)


def transfer_tables(result: TransferResult, ours: str) -> list[str]:
    """Tell the transfer protocol."""
    names = ", ".join(dict.fromkeys(column.generator for column in result.generators)) or "none"
    sections = [
        paragraph(
            "No contender learned from anything tampered, so every generator is one that all of them see for the first",
            f"time; the figures by generator above are these figures ({names}). Scanners differ: of some, contenders",
            f"saw authentic scans in training ({len(result.seen_scanners)} of manufacturer, model and kernel).",
            f"{result.unknown_scanner} tampered scans do not tell theirs and are in neither column.",
        )
    ]
    for modality, task in dict.fromkeys((column.modality, column.task) for column in result.scanners):
        columns = [column for column in result.scanners if (column.modality, column.task) == (modality, task)]
        shown = [
            (f"{MEASURES[key]}, {column.scanners}", column.measures[key]) for key in BY_GENERATOR for column in columns
        ]
        plain = [head for head, _ in shown if head.startswith(MEASURES["control"])]
        sections += [
            f"#### {modality}, {TASKS[task]}",
            _transfer_counts(columns),
            figure_table(shown, ours, plain=plain),
        ]
    return sections


def _transfer_counts(columns: Iterable[ScreeningColumn]) -> str:
    return paragraph(
        *(
            f"Scanners {one.scanners} in training: {one.slices} tampered slices of {one.patients} patients, against"
            f" {one.authentic_slices} authentic slices of {one.authentic_patients}."
            for one in columns
        )
    )


def _generator(column: ScreeningColumn) -> str:
    return "all" if column.generator == SEVERAL else column.generator


def _known(columns: Columns) -> bool:
    return any(not math.isnan(figure.estimate.value) for _, figures in columns for figure in figures.values())


def _best(figures: Mapping[str, Figure]) -> float:
    known = [figure.estimate.value for figure in figures.values() if not math.isnan(figure.estimate.value)]
    return max(known, default=math.nan)


def _cell(figure: Figure | None, best: float, plain: bool) -> str:
    if figure is None or math.isnan(figure.estimate.value):
        return "–"
    told = estimate(figure.estimate)
    told = f"**{told}**" if figure.estimate.value == best else told
    if plain or not figure.differs:
        return told
    return f"{told} {'+' if figure.gap.value > 0 else '−'}"
