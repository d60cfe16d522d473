"""A summary for people: ``summary.html``, in one file that needs nothing else, and a few lines for a terminal."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tamperscan.archive.summary import ArchiveSummary, ModalitySummary
from tamperscan.files import write_file
from tamperscan.report.drift import drift_figure, drift_in_words
from tamperscan.report.wording import RESEARCH_USE

PAGE: Final = "summary.html"
DOCUMENT: Final = "summary.json"

VERDICTS: Final = {
    "suspicious": "suspicious",
    "clear": "nothing found",
    "abstained": "not judged",
    "failed": "could not be screened",
}
"""How each verdict is told, the gravest first."""


def write_summary(summary: ArchiveSummary, folder: Path) -> Path:
    """Write a summary as JSON and as a page into the folder of results; gives the page.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    write_file(folder / DOCUMENT, (json.dumps(summary.as_dict(), indent=2, allow_nan=False) + "\n").encode())
    write_file(folder / PAGE, render_page(summary).encode())
    return folder / PAGE


def render_page(summary: ArchiveSummary) -> str:
    """Render the page: style and pictures are inside, there are no scripts and nothing is fetched."""
    return _template().render(
        summary=summary,
        research_use=RESEARCH_USE,
        counts=[(told, summary.verdicts.get(verdict, 0)) for verdict, told in VERDICTS.items()],
        sections=[_section(one, summary.alarm_rate) for one in summary.modalities],
        studies=[_study(row) for row in summary.studies],
        lists=_lists(summary),
    )


def summary_lines(summary: ArchiveSummary) -> list[str]:
    """Tell the summary in a few lines."""
    told = ", ".join(f"{summary.verdicts.get(verdict, 0):,} {words}" for verdict, words in VERDICTS.items())
    lines = [f"{summary.series:,} series, {summary.slices:,} slices: {told}."]
    for one in summary.modalities:
        lines += [f"{one.modality} over time, {line}" for line in drift_in_words(one.drift).splitlines()[:1]]
    for row in summary.studies[:5]:
        study = _study(row)
        lines.append(f"Suspicious: study {study['study']}, series {study['series']}, p-value {study['p_value']}.")
    if summary.unreadable:
        lines.append(f"{sum(summary.unreadable.values()):,} files belong to no series; unreadable.parquet lists them.")
    return lines


def _section(one: ModalitySummary, alarm_rate: float) -> dict[str, Any]:
    from tamperscan.archive.summary_figures import groups_figure, scores_figure

    pictures = []
    if len(one.scores):
        pictures.append(("Scores beside the calibration", _uri(scores_figure(one, alarm_rate))))
        pictures.append(("Scores by scanner", _uri(groups_figure(one.scanners, "scanner"))))
        pictures.append(("Scores by kernel", _uri(groups_figure(one.kernels, "kernel"))))
    if one.drift.whole.periods:
        pictures.append(("Alarms against the calibration, by month of study", _uri(drift_figure(one.drift))))
    return {
        "modality": one.modality,
        "told": ", ".join(f"{one.verdicts[v]:,} {words}" for v, words in VERDICTS.items() if v in one.verdicts),
        "pictures": pictures,
        "drift": drift_in_words(one.drift).splitlines(),
    }


def _study(row: Mapping[str, Any]) -> dict[str, str]:
    place = [row[f"finding_{name}"] for name in ("slice", "row", "column")]
    return {
        "study": row["study_uid"] or "unknown",
        "series": row["series_uid"] or row["key"],
        "month": row["study_month"] or "",
        "modality": row["modality"] or "",
        "scanner": " ".join(part for part in (row["manufacturer"], row["model"]) if part) or "unknown",
        "kernel": row["kernel"] or "",
        "p_value": f"{row['p_value']:.3g}",
        "score": f"{row['score']:.2f}",
        "place": "" if place[0] is None else ", ".join(map(str, place)),
        "sign": row["finding_sign"] or "",
    }


def _lists(summary: ArchiveSummary) -> list[tuple[str, list[tuple[str, int]]]]:
    named = (
        ("Series that could not be screened", summary.failures),
        ("Series that were not judged", summary.abstained),
        ("Files that belong to no series", summary.unreadable),
    )
    return [(name, list(reasons.items())) for name, reasons in named if reasons]


def _uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


@cache
def _template() -> Template:
    loader = PackageLoader("tamperscan.archive")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.get_template("summary.html.j2")
