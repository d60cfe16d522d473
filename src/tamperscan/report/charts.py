"""Charts of a report: the score along the scan, and this scan among authentic ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tamperscan.report.canvas import BLUE, FAINT, INK, VERMILION, legend_above, png_bytes, wide_chart
from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.wording import calibration_scores, score_in_words


def alarm_threshold(scores: Sequence[float], alarm_rate: float) -> float | None:
    """Score above which a scan raises an alarm, or None where so few scans can't support the alarm rate.

    A scan's p-value is (1 + number of calibration scores at or above it) / (n + 1) (split conformal
    prediction; Vovk et al., Algorithmic Learning in a Random World, section 2.2), so it is at or under the
    alarm rate where the score exceeds the k-th largest, with k the whole part of alarm_rate * (n + 1).

    Parameters
    ----------
    scores
        Scores of authentic scans.
    alarm_rate
        Share of authentic scans that may raise an alarm.
    """
    rank = math.floor(alarm_rate * (len(scores) + 1) + 1e-9)
    return None if rank < 1 or not scores else sorted(scores, reverse=True)[min(rank, len(scores)) - 1]


def slices_figure(document: ScreeningDocument) -> bytes:
    """Draw the score of every slice along the scan, with the findings numbered.

    Parameters
    ----------
    document
        The screening. ``slice_threshold`` among the detector's settings, where stated, is drawn as the alarm
        line.

    Returns
    -------
    bytes
        A PNG of 1320 x 408 pixels.
    """
    figure, axes = wide_chart("slice (counted from 0)", "score (no unit)")
    _draw_unmeasured(axes, document)
    _draw_scores(axes, document)
    _draw_findings(axes, document)
    _draw_slice_threshold(axes, document)
    axes.set_xlim(-1, max(1, document.scan.shape[0]))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.18)
    legend_above(axes, 4)
    return png_bytes(figure)


def _draw_unmeasured(axes: Axes, document: ScreeningDocument) -> None:
    label = "nothing to measure"
    for first, last in _runs([result.index for result in document.slices if result.score is None]):
        axes.axvspan(first - 0.5, last + 0.5, color="#eceff2", linewidth=0, label=label)
        label = "_more of the same"


def _runs(indices: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive indices."""
    runs: list[tuple[int, int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _draw_scores(axes: Axes, document: ScreeningDocument) -> None:
    indices = [result.index for result in document.slices]
    scores = [math.nan if result.score is None else result.score for result in document.slices]
    # A single slice has no line, so its marker has to be seen.
    size = 3 if len(indices) > 1 else 9
    axes.plot(indices, scores, color=BLUE, linewidth=1.3, marker="o", markersize=size, label="score of the slice")


def _draw_findings(axes: Axes, document: ScreeningDocument) -> None:
    label = "finding"
    for number, finding in enumerate(document.findings, start=1):
        if finding.score is None:
            continue
        place = (finding.centre[0], finding.score)
        axes.plot(*place, "D", color=VERMILION, markersize=8, markeredgecolor="white", label=label, zorder=3)
        axes.annotate(
            str(number), place, xytext=(0, 8), textcoords="offset points", ha="center", fontsize=10, color=INK
        )
        label = "_more of the same"


def _draw_slice_threshold(axes: Axes, document: ScreeningDocument) -> None:
    threshold = document.detector.settings.get("slice_threshold")
    if isinstance(threshold, int | float):
        axes.axhline(threshold, color=INK, linewidth=1.2, linestyle="--", label="alarm limit")


def comparison_figure(document: ScreeningDocument) -> bytes | None:
    """Draw this scan's score among those of authentic scans.

    Parameters
    ----------
    document
        The screening, with ``calibration_scores`` among the detector's settings.

    Returns
    -------
    bytes or None
        A PNG of 1320 x 408 pixels; None where the document states no such scores, or no score of its own.
    """
    scores = calibration_scores(document)
    if document.score is None or len(scores) < 2:
        return None
    figure, axes = wide_chart("score of the scan (no unit)", "authentic scans")
    _draw_authentic(axes, scores)
    _draw_alarm(axes, scores, document.alarm_rate)
    _draw_this_scan(axes, document.score)
    axes.margins(x=0.06)
    legend_above(axes, 3)
    return png_bytes(figure)


def _draw_authentic(axes: Axes, scores: Sequence[float]) -> None:
    bins = int(np.clip(round(2 * math.sqrt(len(scores))), 8, 40))
    label = f"{len(scores)} authentic scans of the calibration"
    axes.hist(scores, bins=bins, color="#9fc8e4", edgecolor="white", linewidth=0.8, label=label)
    # One tick a scan under the bars: with few scans the bars alone say too little.
    low = axes.get_xaxis_transform()
    axes.plot(scores, [0.02] * len(scores), "|", color=BLUE, markersize=8, transform=low)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_alarm(axes: Axes, scores: Sequence[float], alarm_rate: float) -> None:
    threshold = alarm_threshold(scores, alarm_rate)
    if threshold is not None:
        label = f"alarm limit ({alarm_rate:.0%} of authentic scans)"
        axes.axvline(threshold, color=FAINT, linewidth=1.4, linestyle="--", label=label)


def _draw_this_scan(axes: Axes, score: float) -> None:
    label = f"this scan: {score_in_words(score)}"
    axes.axvline(score, color=VERMILION, linewidth=2.2, label=label)
    axes.plot(score, 0.97, "v", color=VERMILION, markersize=9, transform=axes.get_xaxis_transform())
