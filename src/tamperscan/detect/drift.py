"""Whether p-values stay as a calibration says they are, study date after study date.

Of authentic scans like those of the calibration, a stated part is called suspicious, today as a year ago. Four things
tell that it is no longer so, and each is looked for with its own share of a stated false-alarm rate (Bonferroni):

- the number of alarms is not what the calibration allows. With n patients the rate behind an alarm rate alpha is a draw
  from Beta(k, n + 1 - k), k = floor(alpha (n + 1)), so that the alarms among m scans follow a beta-binomial law
  (Vovk, "Conditional validity of inductive conformal predictors", ACML 2012);
- so it is in a single period: its control limits are those of the same law, at the periods' share of the rate;
- the p-values change from some date on. The largest cumulated sum of their centred ranks follows Kolmogorov's law where
  they are exchangeable, however good the calibration is (Pettitt, Applied Statistics 28, 1979, for ranks; Ploberger and
  Kraemer, Econometrica 60, 1992, for the cumulated sum);
- the share of scans that the detector abstains on changes from some date on, by the same sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from tamperscan.detect.periods import Array, Dates, Expected, Period, Span, as_date, count_periods

DriftVerdict = Literal["steady", "off calibration", "changed", "too few"]

FALSE_ALARMS: Final = 0.01
"""How often a steady stream of authentic scans may be called anything but steady."""

LEAST_SCANS: Final = 20
"""Fewer judged scans than this are not tested."""

_TESTS = 4


@dataclass(frozen=True)
class Change:
    """The likeliest date of a change.

    Attributes
    ----------
    since
        First day after it.
    p_value
        Chance of so large a change where nothing changed.
    before, after
        Mean p-value, or share of scans abstained on, up to it and from it on.
    """

    since: date
    p_value: float
    before: float
    after: float


@dataclass(frozen=True)
class Course:
    """All scans, or those of one group, over time.

    Attributes
    ----------
    name
        Of the group.
    periods
        In order of time; periods without scans are left out.
    judged, abstained, alarms
        Of all periods.
    calibration_p
        Chance that the calibration's alarm rate gives alarms as far from what is expected; NaN where not tested.
    change, abstaining
        The likeliest change of p-values, and of the share that is abstained on; None where not tested.
    verdict
        What is to be made of it.
    reasons
        Why, one sentence each.
    """

    name: str
    periods: tuple[Period, ...]
    judged: int
    abstained: int
    alarms: int
    calibration_p: float
    change: Change | None
    abstaining: Change | None
    verdict: DriftVerdict
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """How a detector's results go over time.

    Attributes
    ----------
    whole
        All scans.
    groups
        By group, largest first.
    alarm_rate, patients, span, false_alarms
        As `find_drift` was given them.
    undated
        Scans without a date, which are left out.
    """

    whole: Course
    groups: tuple[Course, ...]
    alarm_rate: float
    patients: int | None
    span: Span
    false_alarms: float
    undated: int

    @property
    def verdict(self) -> DriftVerdict:
        """The whole's, or that of the first group that is not steady."""
        told = [course.verdict for course in (self.whole, *self.groups)]
        return next((verdict for verdict in told if verdict not in ("steady", "too few")), told[0])

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON: dates as text, NaN as None."""
        return {"verdict": self.verdict, **cast("dict[str, Any]", _plain(asdict(self)))}


def find_drift(
    dates: Sequence[date | None] | Dates,
    p_values: Sequence[float | None] | Array,
    *,
    groups: Sequence[str] | None = None,
    alarm_rate: float = 0.05,
    patients: int | None = None,
    span: Span = "month",
    false_alarms: float = FALSE_ALARMS,
) -> Drift:
    """Look for drift in a detector's results.

    Parameters
    ----------
    dates
        Of each scan: `datetime.date`, or datetime64; None or NaT where unknown.
    p_values
        Of each scan; None or NaN where the detector abstained.
    groups
        Of each scan, such as its scanner. The groups share the false-alarm rate among them.
    alarm_rate
        A scan with a p-value at or under it is an alarm.
    patients
        How many authentic patients the p-values were counted among. None takes the alarm rate for exact, which calls
        the chance of one calibration drift: give the number.
    span
        Length of a period.
    false_alarms
        How often a steady stream of authentic scans may be called anything but steady.

    Raises
    ------
    ValueError
        If the arrays are not of one length.
    """
    days = np.array(dates, dtype="datetime64[D]")
    values = np.array([math.nan if p is None else p for p in p_values], dtype=np.float64)
    names = np.array([""] * len(days) if groups is None else [str(group) for group in groups], dtype=object)
    if not len(days) == len(values) == len(names):
        raise ValueError("dates, p-values and groups differ in number")
    known = ~np.isnat(days)
    days, values, names = days[known], values[known], names[known]
    order = np.argsort(days, kind="stable")
    days, values, names = days[order], values[order], names[order]
    expected = Expected(alarm_rate, patients)
    unlike = [] if groups is None else _by_size(names)
    share = false_alarms / (1 + (len(unlike) > 0))
    whole = _course("all", days, values, expected, span, share)
    courses = (_course(g, days[names == g], values[names == g], expected, span, share / len(unlike)) for g in unlike)
    return Drift(whole, tuple(courses), alarm_rate, patients, span, false_alarms, int((~known).sum()))


def _by_size(names: NDArray[np.object_]) -> list[str]:
    found, counts = np.unique(names.astype(str), return_counts=True)
    return [str(found[index]) for index in np.argsort(-counts, kind="stable")]


def _course(name: str, days: Dates, values: Array, expected: Expected, span: Span, false_alarms: float) -> Course:
    judged = np.isfinite(values)
    count, alarms = int(judged.sum()), int((values <= expected.alarm_rate).sum())
    each = false_alarms / _TESTS
    periods = count_periods(days, values, expected, span, each)
    calibration_p, change, abstaining = math.nan, None, None
    if count >= LEAST_SCANS:
        law = expected.law(count)
        calibration_p = min(1.0, 2 * min(float(law.cdf(alarms)), float(law.sf(alarms - 1))))
        change = find_change(days[judged], values[judged])
    if len(days) >= LEAST_SCANS:
        abstaining = find_change(days, (~judged).astype(np.float64))
    verdict, reasons = _judge(count, alarms, periods, expected, (calibration_p, change, abstaining), each)
    return Course(
        name, periods, count, len(days) - count, alarms, calibration_p, change, abstaining, verdict, tuple(reasons)
    )


def find_change(days: Dates, values: Array) -> Change | None:
    """Find the date from which on values rank higher or lower, and the chance of so large a change by chance.

    Parameters
    ----------
    days
        datetime64 ``[scan]``, ascending.
    values
        float64 ``[scan]``, finite.

    Returns
    -------
    Change or None
        None where there is nothing to compare: one day, or one value.
    """
    ranks = stats.rankdata(values)
    off = ranks - ranks.mean()
    ends = np.flatnonzero(days[1:] != days[:-1])  # within a day there is no order
    if len(ends) == 0 or not off.any():
        return None
    sums = np.abs(np.cumsum(off))[ends] / (off.std() * math.sqrt(len(off)))
    last = int(ends[np.argmax(sums)])
    before, after = float(values[: last + 1].mean()), float(values[last + 1 :].mean())
    return Change(as_date(days[last + 1]), float(special.kolmogorov(sums.max())), before, after)


def _judge(
    judged: int,
    alarms: int,
    periods: Sequence[Period],
    expected: Expected,
    tests: tuple[float, Change | None, Change | None],
    false_alarms: float,
) -> tuple[DriftVerdict, list[str]]:
    """Say what is to be made of a course, and why."""
    calibration_p, change, abstaining = tests
    reasons = []
    if change is not None and change.p_value <= false_alarms:
        way = "more" if change.after < change.before else "less"
        reasons.append(
            f"Since {change.since} scans look {way} suspicious than before: their mean p-value went from"
            f" {change.before:.2f} to {change.after:.2f} (chance of that without a change {change.p_value:.1g})."
        )
    if abstaining is not None and abstaining.p_value <= false_alarms:
        reasons.append(
            f"Since {abstaining.since} the detector abstains on {abstaining.after:.0%} of scans, before on"
            f" {abstaining.before:.0%} (chance of that without a change {abstaining.p_value:.1g})."
        )
    changed = bool(reasons)
    outside = [period for period in periods if not period.within]
    if calibration_p <= false_alarms:
        reasons.append(
            f"{alarms} of {judged} scans are alarms at {expected.alarm_rate:g}, which is not what the calibration says"
            f" (chance {calibration_p:.1g})."
        )
    elif outside:
        reasons.append(f"Alarms lie outside the control limits in {', '.join(str(each.start) for each in outside)}.")
    if reasons:
        return ("changed" if changed else "off calibration"), [*reasons, "Look at these scans, or calibrate anew."]
    if judged < LEAST_SCANS:
        return "too few", [f"{judged} judged scans are too few to tell: at least {LEAST_SCANS} are needed."]
    return "steady", [f"{alarms} of {judged} scans are alarms at {expected.alarm_rate:g}, as the calibration allows."]


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value
