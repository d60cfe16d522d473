"""``report.html``: what a person receives of a screening, in one file that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from tamperscan.report.schema import FindingFacts, ScreeningDocument
from tamperscan.report.wording import (
    RESEARCH_USE,
    calibration_scores,
    further_reasons,
    headline,
    is_alarming,
    limits_of,
    measured_slices,
    p_in_words,
    score_in_words,
    size_in_words,
)

_SHOWN_ELSEWHERE = ("calibration_scores",)


@dataclass(frozen=True)
class _FindingView:
    number: int
    facts: FindingFacts
    alarming: bool
    source: str
    rows: list[tuple[str, str]]
    picture: str


def render_html(document: ScreeningDocument, pictures: Mapping[str, bytes] | None = None) -> str:
    """Render the page.

    Parameters
    ----------
    document
        The screening.
    pictures
        PNGs by the names under which ``document.files`` states them; one that is missing is left out of the
        page.

    Returns
    -------
    str
        A whole HTML page: style and pictures are inside, there are no scripts and nothing is fetched.
    """
    uris = {name: _data_uri(picture) for name, picture in (pictures or {}).items()}
    return _template().render(
        document=document,
        headline=headline(document),
        reasons=further_reasons(document),
        research_use=RESEARCH_USE,
        limits=limits_of(document.scan.modality),
        findings=_finding_views(document, uris),
        slices_picture=uris.get(document.files.slices or "", ""),
        comparison_picture=uris.get(document.files.comparison or "", ""),
        calibration_count=len(calibration_scores(document)),
        scan_rows=scan_rows(document),
        detector_rows=detector_rows(document),
        slice_rows=_slice_rows(document),
        p_in_words=p_in_words,
        score_in_words=score_in_words,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("tamperscan.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _finding_views(document: ScreeningDocument, uris: Mapping[str, str]) -> list[_FindingView]:
    names = [*document.files.findings, *[""] * len(document.findings)]
    return [
        _FindingView(
            number=number,
            facts=facts,
            alarming=is_alarming(facts.p_value, document.alarm_rate),
            source=_source(document, facts.centre[0]),
            rows=finding_rows(document, facts),
            picture=uris.get(name, ""),
        )
        for number, (facts, name) in enumerate(zip(document.findings, names, strict=False), start=1)
    ]


def _source(document: ScreeningDocument, slice_: int) -> str:
    sources = document.scan.sources
    return sources[slice_] if len(sources) == document.scan.shape[0] else ""


def finding_rows(document: ScreeningDocument, facts: FindingFacts) -> list[tuple[str, str]]:
    """State a finding as rows of a table: what, and its value in words."""
    slice_, row, column = facts.centre
    first, last = facts.slice_range
    left, posterior, superior = facts.centre_mm
    return [
        ("Slice", _slice_words(slice_, first, last, document.scan.shape[0])),
        ("File", _source(document, slice_) or "-"),
        ("Row, column", f"{row}, {column}"),
        ("Position in the patient (LPS)", f"{left:.1f}, {posterior:.1f}, {superior:.1f} mm"),
        ("Size (slice x row x column)", size_in_words(facts.size_mm)),
        ("How it differs", facts.sign),
        ("Score", score_in_words(facts.score)),
        ("p-value", p_in_words(facts.p_value)),
        ("What was measured", facts.evidence or "-"),
    ]


def scan_rows(document: ScreeningDocument) -> list[tuple[str, str]]:
    """State which scan it was as rows of a table."""
    scan = document.scan
    slices, rows, columns = scan.shape
    thick, high, wide = scan.spacing_mm
    measured = measured_slices(document)
    return [
        ("Name", scan.name),
        ("Modality", scan.modality),
        ("Slices, rows, columns", f"{slices} x {rows} x {columns}"),
        ("Voxel spacing", f"{thick:.3g} x {high:.3g} x {wide:.3g} mm"),
        ("Slices that could be measured", f"{measured} of {slices}"),
        *scan.metadata.items(),
        ("SHA-256 of the pixel data", scan.pixel_sha256 or "-"),
    ]


def detector_rows(document: ScreeningDocument) -> list[tuple[str, str]]:
    """State what the result depends on as rows of a table."""
    settings = {key: value for key, value in document.detector.settings.items() if key not in _SHOWN_ELSEWHERE}
    return [
        ("Detector", document.detector.name),
        ("SHA-256 of its weights", document.detector.weights_sha256 or "-"),
        ("Alarm rate", f"{document.alarm_rate:.3g} of authentic scans"),
        *((_label(key), _value(value)) for key, value in settings.items()),
        ("tamperscan", document.tamperscan_version),
        ("Screened", f"{document.created:%Y-%m-%d %H:%M:%S} UTC, in {document.seconds:.1f} s"),
    ]


def _label(key: str) -> str:
    """Turn ``noise_levels_hu`` into "Noise levels (HU)"."""
    for ending, unit in (("_hu", "HU"), ("_mm", "mm"), ("_px", "px")):
        if key.endswith(ending):
            return f"{key.removesuffix(ending).replace('_', ' ').capitalize()} ({unit})"
    return key.replace("_", " ").capitalize()


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:g}"
    return "-" if value is None else str(value)


def _slice_rows(document: ScreeningDocument) -> list[tuple[int, str, str, str]]:
    return [
        (
            result.index,
            score_in_words(result.score),
            p_in_words(result.p_value),
            "-" if result.peak is None else f"{result.peak[0]}, {result.peak[1]}",
        )
        for result in document.slices
    ]


def _slice_words(index: int, first: int, last: int, count: int) -> str:
    if count == 1:
        return "0 (the only one)"
    return f"{index} of 0 to {count - 1} (extends over {first} to {last})"
