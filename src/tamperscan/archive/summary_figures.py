"""Pictures of a summary: scores beside those of the calibration, and by scanner or kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from tamperscan.archive.summary import Group, ModalitySummary
from tamperscan.report.canvas import (
    BLUE,
    FAINT,
    INK,
    VERMILION,
    legend_above,
    new_figure,
    plain_axes,
    png_bytes,
    wide_chart,
)
from tamperscan.report.charts import alarm_threshold

_LONGEST_NAME = 34
_BINS = 40
_FEWEST_FOR_BOX = 5


def scores_figure(summary: ModalitySummary, alarm_rate: float) -> bytes:
    """Draw the scores of an archive's series beside those of the calibration's authentic patients.

    Returns
    -------
    bytes
        A PNG of 1320 x 408 pixels.
    """
    figure, axes = wide_chart("score (no unit)", "share of series")
    everything = np.concatenate([summary.scores, summary.calibration_scores])
    low, high = np.percentile(everything, (0.1, 99.9)) if len(everything) else (0.0, 1.0)
    edges = np.linspace(low, max(high, low + 1e-6), max(8, min(_BINS, round(2 * len(summary.scores) ** 0.5))) + 1)
    for scores, colour, label, filled in (
        (summary.scores, "#9fc8e4", "judged series of this archive", True),
        (summary.calibration_scores, INK, "authentic patients of the calibration", False),
    ):
        if len(scores):
            shares = np.histogram(np.clip(scores, low, high), edges)[0] / len(scores)
            axes.stairs(shares, edges, fill=filled, color=colour, linewidth=1.4, label=f"{len(scores):,} {label}")
    threshold = alarm_threshold(summary.calibration_scores.tolist(), alarm_rate)
    if threshold is not None:
        label = "alarm limit, all patients compared"
        axes.axvline(threshold, color=VERMILION, linewidth=1.4, linestyle="--", label=label)
    axes.set_ylim(bottom=0)
    legend_above(axes, 3)
    return png_bytes(figure)


def groups_figure(groups: Sequence[Group], what: str) -> bytes:
    """Draw how the scores of each group are spread: the middle half as a box, 5 to 95 % as whiskers.

    Parameters
    ----------
    groups
        Largest first; those of fewer than five series are drawn as points.
    what
        What they are groups by.

    Returns
    -------
    bytes
        A PNG, 1320 pixels wide.
    """
    height = 0.9 + 0.36 * len(groups)
    figure = new_figure(11, height)
    axes = figure.add_axes((0.30, 0.55 / height, 0.685, 1 - 0.65 / height))
    plain_axes(axes, x_label=f"score (no unit), by {what}", y_label="")
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color="#d9dee4", linewidth=0.8)
    for place, group in enumerate(reversed(groups)):
        if group.series < _FEWEST_FOR_BOX:
            axes.plot(group.scores, [place] * group.series, "o", color=BLUE, markersize=5)
            continue
        low, first, middle, third, high = np.percentile(group.scores, (5, 25, 50, 75, 95))
        axes.plot([low, high], [place, place], color=FAINT, linewidth=1.4)
        axes.barh(place, third - first, left=first, height=0.5, color="#9fc8e4", edgecolor=BLUE, linewidth=0.8)
        axes.plot([middle, middle], [place - 0.25, place + 0.25], color=INK, linewidth=2)
    axes.set_yticks(range(len(groups)), [_label(group) for group in reversed(groups)])
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(8))
    return png_bytes(figure)


def _label(group: Group) -> str:
    name = group.name if len(group.name) <= _LONGEST_NAME else f"{group.name[: _LONGEST_NAME - 1]}…"
    return f"{name}  ({group.series:,})"
