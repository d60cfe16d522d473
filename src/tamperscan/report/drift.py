"""A picture of how a detector's results go over time, and the same in words."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import date
from typing import Final

from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from tamperscan.detect.drift import Course, Drift
from tamperscan.detect.periods import Period
from tamperscan.report.canvas import BLUE, FAINT, INK, SKY, VERMILION, new_figure, plain_axes, png_bytes

_WORDS_A_LINE = 118
_MOST_GROUPS = 8
_EPOCH: Final = date(1970, 1, 1)


def drift_figure(drift: Drift) -> bytes:
    """Draw the share of alarms and of scans not judged, period by period, with control limits and the verdict.

    Returns
    -------
    bytes
        A PNG of 1320 x 660 pixels.
    """
    figure = new_figure(11, 5.5)
    upper, lower = figure.add_axes((0.07, 0.34, 0.915, 0.46)), figure.add_axes((0.07, 0.09, 0.915, 0.17))
    plain_axes(upper, x_label="", y_label=f"alarms at {drift.alarm_rate:g}")
    plain_axes(lower, x_label="", y_label="not judged")
    course = drift.whole
    judged = [each for each in course.periods if each.judged]
    if judged:
        _draw_limits(upper, judged, drift.alarm_rate)
        _draw_shares(upper, judged)
        _draw_change(upper, course)
        upper.legend(loc="upper left", fontsize=9, frameon=False, ncols=2)
    if course.periods:
        _draw_abstained(lower, course)
        for axes in (upper, lower):
            _date_axis(axes, course)
    text = textwrap.fill(f"{course.verdict.capitalize()}. {' '.join(course.reasons)}", _WORDS_A_LINE)
    figure.text(0.07, 0.98, text, fontsize=10.5, color=INK, va="top", linespacing=1.4)
    return png_bytes(figure)


def drift_in_words(drift: Drift) -> str:
    """Tell the verdict over all scans and by group, a line each."""
    lines = [_line(drift.whole), *(_line(course) for course in drift.groups[:_MOST_GROUPS])]
    if len(drift.groups) > _MOST_GROUPS:
        lines.append(f"{len(drift.groups) - _MOST_GROUPS} smaller groups are not listed.")
    if drift.undated:
        lines.append(f"{drift.undated} scans without a date are left out.")
    if drift.patients is None:
        lines.append("It is not known how many patients the calibration counts, so its own chance may look like drift.")
    return "\n".join(lines)


def _line(course: Course) -> str:
    return f"{course.name}: {course.verdict}. {' '.join(course.reasons)}"


def _number(day: date) -> float:
    """Return a day as matplotlib counts it: from 1970 on."""
    return float((day - _EPOCH).days)


def _middle(period: Period) -> float:
    return (_number(period.start) + _number(period.end)) / 2


def _draw_limits(axes: Axes, periods: Sequence[Period], alarm_rate: float) -> None:
    low = [each.limits[0] / each.judged for each in periods]
    height = [(each.limits[1] - each.limits[0]) / each.judged for each in periods]
    starts, widths = _places(periods)
    axes.bar(starts, height, widths, low, align="edge", color="#e3eef7", label="control limits")
    axes.axhline(alarm_rate, color=FAINT, linewidth=1.2, linestyle="--", label="alarm rate")


def _places(periods: Sequence[Period]) -> tuple[list[float], list[float]]:
    """Return where periods begin, and how long they are."""
    return [_number(each.start) for each in periods], [float((each.end - each.start).days) for each in periods]


def _draw_shares(axes: Axes, periods: Sequence[Period]) -> None:
    for within, colour, label in ((True, BLUE, "share of alarms, 95 % interval"), (False, VERMILION, "out of limits")):
        own = [each for each in periods if each.within == within]
        if own:
            shares = [each.share for each in own]
            spread = [[each.share - each.low for each in own], [each.high - each.share for each in own]]
            places = [_middle(each) for each in own]
            axes.errorbar(places, shares, spread, fmt="o", color=colour, markersize=5, capsize=2, label=label)
    axes.set_ylim(0.0, min(1.02, 1.35 * max(each.high for each in periods)))


def _draw_change(axes: Axes, course: Course) -> None:
    if course.change is not None and course.verdict == "changed":
        axes.axvline(_number(course.change.since), color=INK, linewidth=1.2, label="likeliest change")


def _draw_abstained(axes: Axes, course: Course) -> None:
    shares = [each.abstained / (each.abstained + each.judged) for each in course.periods]
    starts, widths = _places(course.periods)
    axes.bar(starts, shares, widths, align="edge", color=SKY, edgecolor="white", linewidth=0.6)
    axes.set_ylim(0.0, max(0.05, 1.2 * max(shares)))


def _date_axis(axes: Axes, course: Course) -> None:
    axes.set_xlim(_number(course.periods[0].start), _number(course.periods[-1].end))
    locator = AutoDateLocator(maxticks=12)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
