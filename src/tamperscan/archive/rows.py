"""What is kept of a series: a row of results, which is the same in every run, and a row on how it was got."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tamperscan.detect.results import Screening

FAILED: Final = "failed"

_TEXT: Final = (
    *("key", "series_uid", "study_uid", "study_month", "manufacturer", "model", "kernel"),
    *("verdict", "finding_sign", "pixel_sha256", "detector", "head", "weights_sha256", "runtime", "listing"),
)
_WHOLE: Final = ("slices", "rows", "columns", "volumes", "volumes_failed", "findings")
_WHOLE_OF_FINDING: Final = ("finding_slice", "finding_row", "finding_column")
_REAL: Final = ("thickness_mm", "score", "p_value", "alarm_rate", "finding_score", "finding_p_value")
_LISTS: Final = ("reasons", "warnings")

RESULT_COLUMNS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_TEXT, "text"),
    **dict.fromkeys((*_WHOLE, *_WHOLE_OF_FINDING), "whole"),
    **dict.fromkeys(_REAL, "real"),
    **dict.fromkeys(_LISTS, "texts"),
    "modality": "text",
    "year": "text",
}
"""Columns of the results and what they hold; ``modality`` and ``year`` are folders."""

RUN_COLUMNS: Final[Mapping[str, str]] = {
    "key": "text",
    "places": "texts",
    "files": "whole",
    "stored_bytes": "whole",
    "read_seconds": "real",
    "screen_seconds": "real",
    "attempts": "whole",
    "finished": "text",
    "worker": "text",
}
"""Columns on how rows were got: where the series lies, and what differs from run to run."""

_ORDER: Final = {"suspicious": 0, "clear": 1, "abstained": 2}


def result_row(screenings: Sequence[Screening], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Make the row of a series that was screened.

    Parameters
    ----------
    screenings
        One for each of its volumes; the row is that of the most suspicious.
    facts
        What is known of the series besides: ``key``, ``listing``, ``study_month``, ``volumes_failed``.
    """
    worst = min(screenings, key=_suspicion)
    metadata, scan = worst.scan.metadata, worst.scan
    row = {
        **dict.fromkeys(RESULT_COLUMNS),
        "modality": scan.modality,
        "series_uid": metadata.get("SeriesInstanceUID"),
        "study_uid": metadata.get("StudyInstanceUID"),
        "manufacturer": metadata.get("Manufacturer"),
        "model": metadata.get("ManufacturerModelName"),
        "kernel": metadata.get("ConvolutionKernel"),
        "thickness_mm": _number(metadata.get("SliceThickness")),
        **dict(zip(("slices", "rows", "columns"), scan.shape, strict=True)),
        "pixel_sha256": scan.sha256,
        "verdict": worst.verdict,
        "score": worst.score if math.isfinite(worst.score) else None,
        "p_value": worst.p_value,
        "alarm_rate": worst.alarm_rate,
        "reasons": list(worst.reasons),
        "warnings": list(scan.warnings),
        "detector": worst.detector_name,
        "head": worst.settings.get("head"),
        "weights_sha256": worst.weights_sha256,
        "runtime": worst.settings.get("runtime"),
        "volumes": len(screenings),
        **_finding(worst),
    }
    return with_facts(row, facts)


def failed_row(series: str, reason: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Make the row of a series that could not be screened.

    Parameters
    ----------
    series
        What groups its files: its UID, or a place if it has none, which the row then leaves out.
    reason
        One sentence.
    facts
        As for `result_row`.
    """
    row = {**dict.fromkeys(RESULT_COLUMNS), "verdict": FAILED, "reasons": [reason], "warnings": [], "volumes": 0}
    return with_facts({**row, "series_uid": series if is_uid(series) else None}, facts)


def with_facts(row: dict[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Complete a row with what is known of the series besides."""
    full = {**row, **facts}
    month = full.get("study_month")
    return {**full, "year": month[:4] if month else None}


def is_uid(text: str) -> bool:
    """Whether a text is made of digits and dots alone."""
    return bool(text) and all(letter in "0123456789." for letter in text)


def _suspicion(screening: Screening) -> tuple[int, float, float]:
    """Sort the most suspicious first."""
    p_value = 2.0 if screening.p_value is None else screening.p_value
    score = screening.score if math.isfinite(screening.score) else -math.inf
    return _ORDER[screening.verdict], p_value, -score


def _finding(screening: Screening) -> dict[str, Any]:
    if not screening.findings:
        return {"findings": 0}
    first = screening.findings[0]
    return {
        "findings": len(screening.findings),
        **dict(zip(_WHOLE_OF_FINDING, (int(index) for index in first.centre), strict=True)),
        "finding_sign": first.sign,
        "finding_score": first.score,
        "finding_p_value": first.p_value,
    }


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
