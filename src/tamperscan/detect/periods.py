"""Alarms counted week by week, month by month or year by year, with what a calibration allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Span = Literal["week", "month", "quarter", "year"]
SPANS: Final[tuple[Span, ...]] = get_args(Span)

Array = NDArray[np.float64]
Dates = NDArray[np.datetime64]


@dataclass(frozen=True)
class Period:
    """A week, month, quarter or year.

    Attributes
    ----------
    start, end
        First day of the period, and of the next.
    judged, abstained, alarms
        Scans with a p-value, without one, and with one at or under the alarm rate.
    low, high
        95 % interval of the share of alarms (Clopper and Pearson 1934); NaN where nothing was judged.
    limits
        Control limits: least and most alarms that the calibration allows.
    """

    start: date
    end: date
    judged: int
    abstained: int
    alarms: int
    low: float
    high: float
    limits: tuple[int, int]

    @property
    def share(self) -> float:
        """Alarms over judged scans; NaN where nothing was judged."""
        return self.alarms / self.judged if self.judged else math.nan

    @property
    def within(self) -> bool:
        """Whether the alarms lie within the control limits."""
        return self.limits[0] <= self.alarms <= self.limits[1]


@dataclass(frozen=True)
class Expected:
    """What a calibration says of alarms."""

    alarm_rate: float
    patients: int | None

    def law(self, scans: int) -> Any:
        """Law of the number of alarms among so many scans."""
        if self.patients is None:
            return stats.binom(scans, self.alarm_rate)
        rank = math.floor(self.alarm_rate * (self.patients + 1) + 1e-9)
        if rank < 1:
            return stats.binom(scans, 0.0)
        return stats.betabinom(scans, rank, self.patients + 1 - rank)


def count_periods(
    days: Dates, values: Array, expected: Expected, span: Span, false_alarms: float
) -> tuple[Period, ...]:
    """Count alarms period by period; the periods share the false-alarm rate."""
    if len(days) == 0:
        return ()
    numbers = _number(days, span)
    filled = np.unique(numbers)
    tail = false_alarms / len(filled) / 2
    made = []
    for number in filled.tolist():
        own = values[numbers == number]
        judged, alarms = int(np.isfinite(own).sum()), int((own <= expected.alarm_rate).sum())
        law = expected.law(judged)
        limits = (int(law.ppf(tail)), int(law.ppf(1 - tail))) if judged else (0, 0)
        ends = _start(number, span), _start(number + 1, span)
        made.append(Period(*ends, judged, len(own) - judged, alarms, *interval(alarms, judged), limits))
    return tuple(made)


def interval(count: int, total: int, chance: float = 0.05) -> tuple[float, float]:
    """Return the interval of a share by Clopper and Pearson (Biometrika 26, 1934); NaN of nothing."""
    if total == 0:
        return math.nan, math.nan
    low = special.betaincinv(count, total - count + 1, chance / 2) if count else 0.0
    high = special.betaincinv(count + 1, total - count, 1 - chance / 2) if count < total else 1.0
    return float(low), float(high)


_MONTHS: Final = {"month": 1, "quarter": 3, "year": 12}


def _number(days: Dates, span: Span) -> NDArray[np.int64]:
    """Return the number of each day's period, counted from 1970 on."""
    if span == "week":  # they begin on Monday, and 1970 began on a Thursday
        weeks: NDArray[np.int64] = (days.astype(np.int64) + 3) // 7
        return weeks
    numbers: NDArray[np.int64] = days.astype("datetime64[M]").astype(np.int64) // _MONTHS[span]
    return numbers


def _start(number: int, span: Span) -> date:
    if span == "week":
        return as_date(np.datetime64(number * 7 - 3, "D"))
    return as_date(np.datetime64(number * _MONTHS[span], "M").astype("datetime64[D]"))


def as_date(day: np.datetime64) -> date:
    """Return a day as Python's own date."""
    return cast("date", day.astype("datetime64[D]").item())
