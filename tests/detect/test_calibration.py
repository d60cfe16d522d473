from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamperscan.detect.calibration import Calibration, calibrate, calibration_file, scan_score

from .acquisitions import acquisition

APART_MM = 10.0  # slices so far apart are independent
some_scores = st.lists(st.floats(-10, 10), min_size=1, max_size=30)
rates = st.floats(0.001, 1.0)
quick = settings(max_examples=60, deadline=None)


def of_scan_scores(*scores):
    sorted_scores = np.sort(np.array(scores, dtype=np.float64))
    return Calibration(sorted_scores, sorted_scores, np.ones(len(scores)), 0.0)


def patients(rng, count, slices=1, law="gumbel"):
    return [[(getattr(rng, law)(size=slices), APART_MM)] for _ in range(count)]


@pytest.mark.parametrize(
    ("score", "p_value"), [(0, 1.0), (1, 1.0), (1.5, 0.8), (2, 0.8), (3.5, 0.4), (4, 0.4), (4.1, 0.2), (99, 0.2)]
)
def test_p_value_counts_the_patients_that_score_as_high(score, p_value):
    assert of_scan_scores(3, 1, 4, 2).scan_p_value(score) == pytest.approx(p_value)


def test_ties_count_as_reached():
    assert of_scan_scores(1, 2, 2, 2).scan_p_value(2) == pytest.approx(4 / 5)


@pytest.mark.parametrize("count", [1, 19, 99])
def test_smallest_p_is_that_of_a_score_above_all(count):
    calibration = of_scan_scores(*range(count))
    assert calibration.smallest_p == 1 / (count + 1)
    assert calibration.scan_p_value(1e9) == pytest.approx(calibration.smallest_p)


@pytest.mark.parametrize("alarm_rate", [0.05, 0.2])
def test_alarms_on_authentic_scans_are_as_many_as_allowed(alarm_rate):
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(400):
        calibration = calibrate(patients(rng, 19, slices=5))
        fresh = calibration.scan_score(rng.gumbel(size=5), APART_MM)
        alarms.append(calibration.scan_p_value(fresh) <= alarm_rate)
    assert alarm_rate - 0.05 < np.mean(alarms) <= alarm_rate + 0.03


@quick
@given(some_scores, st.floats(-11, 11), rates)
def test_score_at_is_where_the_p_value_is_reached(scores, score, rate):
    calibration = of_scan_scores(*scores)
    assert (score >= calibration.score_at(rate)) == (calibration.scan_p_value(score) <= rate + 1e-9)


@quick
@given(some_scores, st.floats(-11, 11), st.floats(-11, 11))
def test_higher_scores_have_no_higher_p_values(scores, one, other):
    calibration = calibrate([[(np.array([score, score - 1]), 5.0)] for score in scores])
    low, high = sorted((one, other))
    assert calibration.scan_p_value(high) <= calibration.scan_p_value(low)
    assert calibration.slice_p_value(high) <= calibration.slice_p_value(low)
    assert calibration.smallest_p <= calibration.slice_p_value(high) <= 1 + 1e-12


def test_too_few_patients_for_a_rate_allow_no_score():
    assert of_scan_scores(1, 2, 3).score_at(0.05) == math.inf
    assert of_scan_scores(*range(18)).score_at(0.05) == math.inf
    assert of_scan_scores(*range(19)).score_at(0.05) == np.nextafter(18, math.inf)


@pytest.mark.parametrize("law", ["gumbel", "exponential", "logistic"])
def test_scans_of_many_slices_compare_with_scans_of_one(law):
    rng = np.random.default_rng(1)
    calibration = calibrate(patients(rng, 400, slices=20, law=law))
    one, many = (
        np.mean([calibration.scan_score(getattr(rng, law)(size=n), APART_MM) for _ in range(2000)]) for n in (1, 50)
    )
    uncorrected = np.mean([getattr(rng, law)(size=50).max() for _ in range(500)]) - one
    assert abs(many - one) < 0.35 * uncorrected


def test_scans_of_many_slices_raise_no_more_alarms():
    rng = np.random.default_rng(2)
    calibration = calibrate(patients(rng, 399, slices=10))
    for slices in (1, 50):
        scores = [calibration.scan_score(rng.gumbel(size=slices), APART_MM) for _ in range(3000)]
        assert np.mean([calibration.scan_p_value(score) <= 0.05 for score in scores]) < 0.09


def test_growth_is_the_scale_of_gumbel_scores():
    assert calibrate(patients(np.random.default_rng(3), 200, slices=50)).growth == pytest.approx(1, abs=0.05)


def test_thin_slices_do_not_count_as_independent():
    scores = np.linspace(0, 1, 101)
    assert scan_score(scores, 1.0, growth=1.0) == pytest.approx(1 - math.log(10.1))
    assert scan_score(scores, 50.0, growth=1.0) == pytest.approx(1 - math.log(101))
    assert scan_score(scores[-3:], 1.0, growth=1.0) == 1.0


def test_slices_without_lung_are_ignored():
    scores = np.array([np.nan, 3.0, np.nan, 1.0, np.inf])
    assert scan_score(scores, APART_MM, 0.5) == scan_score(np.array([3.0, 1.0]), APART_MM, 0.5)
    assert math.isnan(scan_score(np.array([np.nan]), APART_MM, 0.5))
    assert math.isnan(scan_score(np.array([]), APART_MM, 0.5))


def test_patients_without_lung_are_ignored():
    known = [[(np.array([1.0, 2.0]), 5.0)], [(np.array([3.0]), 5.0)]]
    unknown = [[(np.array([np.nan, np.nan]), 5.0)], []]
    assert calibrate([*known, *unknown]).as_dict() == calibrate(known).as_dict()


def test_patients_weigh_alike_among_slices():
    calibration = calibrate([[(np.full(99, 1.0), 5.0)], [(np.array([2.0]), 5.0)]])
    assert calibration.slice_weights.sum() == pytest.approx(2)
    assert calibration.slice_p_value(1.5) == pytest.approx((1 + 1) / 3)
    assert calibration.slice_p_value(0.5) == pytest.approx(1)


def test_slice_that_ties_counts_as_reached():
    calibration = calibrate([[(np.array([score]), 5.0)] for score in (1.0, 2.0, 3.0)])
    assert calibration.slice_p_value(2.0) == pytest.approx(3 / 4)
    assert calibration.slice_p_value(np.nextafter(2.0, 3.0)) == pytest.approx(2 / 4)


def test_scans_of_one_patient_share_its_weight():
    calibration = calibrate([[(np.array([1.0]), 5.0), (np.array([1.0, 1.0, 1.0]), 5.0)], [(np.array([2.0]), 5.0)]])
    assert calibration.slice_weights.tolist() == pytest.approx([0.25, 0.25, 0.25, 0.25, 1])


def test_one_scan_stands_for_a_patient():
    rng = np.random.default_rng(4)
    long, short = rng.normal(size=30), rng.normal(size=3) + 100
    calibration = calibrate([[(short, 5.0), (long, 5.0)], [(rng.normal(size=5), 5.0)]])
    assert len(calibration.scan_scores) == 2
    assert calibration.scan_score(long, 5.0) in calibration.scan_scores


def test_slice_p_values_hold_on_average():
    rng = np.random.default_rng(5)
    calibration = calibrate(patients(rng, 99, slices=20))
    shares = [calibration.slice_p_value(score) <= 0.1 for score in rng.gumbel(size=4000)]
    assert 0.05 < np.mean(shares) < 0.13


def test_scores_lie_in_ascending_order():
    calibration = calibrate(patients(np.random.default_rng(6), 10, slices=7))
    assert (np.diff(calibration.scan_scores) >= 0).all()
    assert (np.diff(calibration.slice_scores) >= 0).all()


def test_dictionary_and_back():
    calibration = calibrate(patients(np.random.default_rng(7), 8, slices=3))
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert again.as_dict() == calibration.as_dict()


def test_nothing_measured_has_no_p_value():
    with pytest.raises(ValueError, match="nothing was measured"):
        calibrate([[(np.array([1.0, 2.0]), 5.0)]]).scan_p_value(math.nan)


def test_no_slices_to_calibrate_on():
    with pytest.raises(ValueError, match="no slice"):
        calibrate([[(np.array([np.nan]), 5.0)]])


def with_acquisitions(count, like, others, **changes):
    """A calibration of many patients, the first of them acquired alike."""
    made = [[acquisition(**like)]] * count + [[acquisition(**others)]] * count
    scores = [[(np.array([float(number)]), 5.0)] for number in range(2 * count)]
    return calibrate(scores, made, **changes)


def test_scan_is_compared_with_patients_acquired_like_it():
    calibration = with_acquisitions(25, {"grain": 0.1}, {"grain": 0.7})
    own = calibration.for_scan(acquisition(grain=0.15))
    assert own.scan_scores.tolist() == list(range(25))
    assert own.counted == "25 authentic patients with a like acquisition"
    assert own.scan_p_value(30.0) == pytest.approx(1 / 26)
    assert calibration.scan_p_value(30.0) > 0.3
    assert np.array_equal(own.slice_scores, calibration.slice_scores)


def test_too_few_patients_of_like_acquisition_for_the_alarm_rate():
    calibration = with_acquisitions(25, {"grain": 0.1}, {"grain": 0.7})
    assert len(calibration.for_scan(acquisition(grain=0.1), 0.01).scan_scores) == 50
    assert len(calibration.for_scan(acquisition(grain=0.1), 0.0).scan_scores) == 50
    assert len(with_acquisitions(18, {"grain": 0.1}, {"grain": 0.7}).for_scan(acquisition(grain=0.1)).scan_scores) == 36


def test_without_acquisitions_all_patients_are_compared():
    calibration = of_scan_scores(*range(40))
    assert calibration.for_scan(acquisition()) is calibration
    known = with_acquisitions(25, {"grain": 0.1}, {"grain": 0.7})
    assert known.for_scan(None) is known


def test_scores_that_depend_on_the_kernel_are_adjusted():
    rng = np.random.default_rng(8)
    grains = rng.uniform(0.36, 0.8, 38)
    calibration = calibrate(
        [[(np.array([10 * grain + rng.normal()]), 5.0)] for grain in grains],
        [[acquisition(grain=grain)] for grain in grains],
    )
    assert calibration.adjusted
    soft, sharp = (calibration.for_scan(acquisition(grain=grain)) for grain in (0.78, 0.38))
    assert soft.scan_p_value(8.0) > 2 * sharp.scan_p_value(8.0)
    assert (np.diff(soft.scan_scores) >= 0).all()
    assert not with_acquisitions(25, {"grain": 0.5}, {"grain": 0.5}).adjusted


@pytest.mark.parametrize(("count", "low", "high"), [(34, 0.0007, 0.1028), (99, 0.0166, 0.1002), (999, 0.0374, 0.0644)])
def test_true_alarm_rate_is_a_beta_draw(count, low, high):
    found = of_scan_scores(*range(count)).true_alarm_rate(0.05)
    assert found == pytest.approx((low, high), abs=6e-4)


def test_true_alarm_rate_holds():
    rng = np.random.default_rng(9)
    rates = [1 - np.sort(rng.uniform(size=34))[-1] for _ in range(4000)]  # at 0.05 only a score above all is an alarm
    low, high = of_scan_scores(*range(34)).true_alarm_rate(0.05)
    assert np.mean([low <= rate <= high for rate in rates]) == pytest.approx(0.95, abs=0.02)


def test_true_alarm_rate_at_the_ends():
    assert of_scan_scores(1, 2, 3).true_alarm_rate(0.05) == (0.0, 0.0)
    assert of_scan_scores(1, 2, 3).true_alarm_rate(1.0) == (1.0, 1.0)


def test_reservations_tell_the_interval_and_what_is_not_supported():
    calibration = of_scan_scores(*range(34))
    assert "between 0.00074 and 0.1" in calibration.reservations(0.05)[0]
    assert "34 authentic patients can't support an alarm rate of 0.01" in calibration.reservations(0.01)[0]


def test_what_was_set_aside_is_told():
    calibration = calibrate([[(np.array([float(number)]), 5.0)] for number in range(38)], set_aside=2)
    assert calibration.too_small_by == pytest.approx(2 / 41)
    assert "2 outlying patients were set aside" in calibration.reservations(0.05)[1]


def test_parts_of_scans_are_not_called_patients():
    calibration = calibrate([[(np.array([float(number)]), 5.0)] for number in range(40)], parts_of=3)
    assert calibration.counted == "40 parts of authentic scans of 3 patients"
    assert "not independent" in calibration.reservations(0.05)[1]


def test_acquisitions_survive_the_dictionary():
    calibration = with_acquisitions(25, {"grain": 0.1}, {"lung_noise": math.nan}, set_aside=1)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert again.as_dict() == calibration.as_dict()
    assert math.isnan(again.acquisitions[-1].lung_noise)
    assert len(again.ground) == 50


def test_acquisitions_lie_in_the_order_of_the_scores():
    rng = np.random.default_rng(10)
    scores = rng.permutation(20).astype(float)
    made = [[acquisition(noise=10.0 + score)] for score in scores]
    calibration = calibrate([[(np.array([score]), 5.0)] for score in scores], made)
    assert [each.noise for each in calibration.acquisitions] == [10.0 + number for number in range(20)]


def test_each_head_has_its_own_file():
    assert calibration_file("typicality") == "calibration.json"
    assert calibration_file("self-forged") == "calibration-self-forged.json"


def short_and_long(grows):
    """Ten single slices, and ten scans of 40 slices of 10 mm whose largest score grows by so much."""
    rng = np.random.default_rng(0)
    short = [[(rng.normal(5.0, 1.0, 1), 10.0)] for _ in range(10)]
    longer = [[(np.append(rng.normal(0.0, 0.1, 39), rng.normal(5.0 + grows, 1.0)), 10.0)] for _ in range(10)]
    return [*short, *longer]


def test_growth_is_measured_where_there_are_short_and_long_scans():
    assert calibrate(short_and_long(0.0)).growth == pytest.approx(0.0, abs=0.3)
    assert calibrate(short_and_long(2.0)).growth == pytest.approx(2.0 / np.log(40), abs=0.3)


def test_growth_is_that_of_independent_slices_where_it_cannot_be_measured():
    singles = calibrate(short_and_long(0.0)[:10])
    assert singles.growth == pytest.approx(singles.slice_spread * np.sqrt(6) / np.pi)
    assert calibrate(short_and_long(50.0)).growth < 50.0 / np.log(40)
