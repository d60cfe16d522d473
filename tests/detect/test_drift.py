import json
import math
from datetime import date

import numpy as np
import pytest

from tamperscan.detect.drift import find_change, find_drift
from tamperscan.detect.periods import interval

PATIENTS = 99
BEGIN = np.datetime64("2024-01-01")


def stream(seed, count=400, *, shift=0.0, since="2025-01-01", abstained=0.05, patients=PATIENTS):
    """Dates over two years, and p-values counted among so many patients; scores rise by a shift from a date on."""
    rng = np.random.default_rng(seed)
    days = BEGIN + rng.integers(0, 730, count).astype("timedelta64[D]")
    scores = rng.normal(size=count) + shift * (days >= np.datetime64(since))
    calibration = rng.normal(size=patients)
    p_values = (1 + (calibration >= scores[:, None]).sum(axis=1)) / (patients + 1)
    p_values[rng.random(count) < abstained] = np.nan
    return days, p_values


def test_steady_results_are_called_so():
    """99 of 100 may be told; that 3 or more of 60 are not has a chance of 0.02."""
    told = [find_drift(*stream(seed, 200), patients=PATIENTS).verdict for seed in range(60)]
    assert told.count("steady") >= 58


def test_a_change_is_found_and_dated():
    drift = find_drift(*stream(1, shift=1.0, since="2025-03-01"), patients=PATIENTS)
    assert drift.verdict == "changed"
    assert abs(drift.whole.change.since - date(2025, 3, 1)).days < 40
    assert drift.whole.change.after < drift.whole.change.before
    assert "more suspicious" in drift.whole.reasons[0]


def test_a_change_to_less_suspicious_is_one_too():
    drift = find_drift(*stream(2, shift=-1.0), patients=PATIENTS)
    assert drift.verdict == "changed"
    assert "less suspicious" in drift.whole.reasons[0]


def test_scans_that_are_not_judged_any_more():
    days, p_values = stream(3)
    p_values[(days >= np.datetime64("2025-06-01")) & (np.arange(len(days)) % 2 == 0)] = np.nan
    drift = find_drift(days, p_values, patients=PATIENTS)
    assert drift.verdict == "changed"
    assert "abstains on" in drift.whole.reasons[0]


def test_alarms_that_were_always_too_many():
    drift = find_drift(*stream(4, shift=1.5, since="2024-01-01"), patients=PATIENTS)
    assert drift.verdict == "off calibration"
    assert "not what the calibration says" in drift.whole.reasons[0]


def test_a_single_month_out_of_its_limits():
    days = np.concatenate([BEGIN + np.arange(600) % 365, [np.datetime64("2024-07-15")] * 20])
    p_values = np.concatenate([np.tile(np.linspace(0.06, 1, 60), 10), [0.01] * 20])
    drift = find_drift(days, p_values)
    (outside,) = (period for period in drift.whole.periods if not period.within)
    assert outside.start == date(2024, 7, 1)
    assert drift.verdict != "steady"


def test_the_chance_of_one_calibration_is_allowed_for():
    """With 34 patients a true rate of 0.12 is not rare; taken for exact, 0.05 is refuted by it."""
    days = BEGIN + np.arange(365)
    p_values = np.where(np.arange(365) % 8 == 0, 1 / 35, 0.5)
    assert find_drift(days, p_values, patients=34).verdict == "steady"
    assert find_drift(days, p_values).verdict == "off calibration"


def test_a_group_alone_may_drift():
    days, p_values = stream(5, 600)
    groups = np.where(np.arange(600) % 3 == 0, "new scanner", "old scanner")
    p_values[(groups == "new scanner") & (days > np.datetime64("2025-01-01"))] *= 0.1
    drift = find_drift(days, p_values, groups=list(groups), patients=PATIENTS)
    assert [(course.name, course.verdict) for course in drift.groups] == [
        ("old scanner", "steady"),
        ("new scanner", "changed"),
    ]
    assert drift.verdict == "changed"


def test_too_few_to_tell():
    drift = find_drift([date(2024, 1, 1), date(2024, 2, 1)], [0.01, None])
    assert (drift.verdict, drift.whole.judged, drift.whole.abstained) == ("too few", 1, 1)


def test_nothing_at_all():
    assert find_drift([], []).verdict == "too few"


def test_scans_without_a_date_are_counted_and_left_out():
    drift = find_drift([date(2024, 1, 1), None], [0.5, 0.5])
    assert (drift.undated, drift.whole.judged) == (1, 1)


@pytest.mark.parametrize(
    ("span", "starts"),
    [
        ("week", ["2023-12-25", "2024-01-01", "2024-05-27"]),
        ("month", ["2023-12-01", "2024-01-01", "2024-05-01"]),
        ("quarter", ["2023-10-01", "2024-01-01", "2024-04-01"]),
        ("year", ["2023-01-01", "2024-01-01"]),
    ],
)
def test_periods(span, starts):
    days = [date(2023, 12, 31), date(2024, 1, 1), date(2024, 5, 31)]
    periods = find_drift(days, [0.5] * 3, span=span).whole.periods
    assert [str(period.start) for period in periods] == starts
    assert all(period.start < period.end for period in periods)
    assert sum(period.judged for period in periods) == 3


def test_within_a_day_there_is_no_order():
    days = np.repeat(BEGIN, 50)
    assert find_change(days, np.arange(50.0)) is None


def test_lengths_that_differ():
    with pytest.raises(ValueError, match="differ in number"):
        find_drift([date(2024, 1, 1)], [])


def test_interval_of_a_share():
    assert interval(0, 0)[0] != interval(0, 0)[0]  # NaN
    assert interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)


def test_plain_values_are_json():
    plain = find_drift(*stream(6), patients=PATIENTS).as_dict()
    again = json.loads(json.dumps(plain, allow_nan=False))
    assert again["verdict"] == "steady"
    assert again["whole"]["periods"][0]["start"] == "2024-01-01"
    assert math.isfinite(again["whole"]["calibration_p"])
