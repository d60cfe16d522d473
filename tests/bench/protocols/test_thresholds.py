import math

import pytest

from tamperscan.bench.protocols.resampling import Draws
from tamperscan.bench.protocols.thresholds import authentic_side, limits_of, measure_thresholds

from .made import SINGLE, authentic, evidence, scored, sliced


def measured(calibration, test, facts=None):
    """Thresholds of a contender; both are lists of (group, scores of slices)."""
    before = [authentic(f"c{index}", group) for index, (group, _) in enumerate(calibration)]
    after = [authentic(f"a{index}", group) for index, (group, _) in enumerate(test)]
    told = [
        scored(case, *(sliced(index, score) for index, score in enumerate(scores)))
        for case, (_, scores) in zip([*before, *after], [*calibration, *test], strict=True)
    ]
    made = evidence(after, {"ours": told}, calibration=before, facts=facts)
    return made, measure_thresholds(made, Draws(case.group for case in after))


def test_threshold_comes_from_calibration_scans_alone():
    _, thresholds = measured([("c", range(100))], [("a", [1000.0]), ("b", [0.0])])
    limits = limits_of(thresholds, "CT")
    assert limits["ours", "slice", 0.05] == 94
    assert limits["ours", "slice", 0.01] == 98


def test_observed_false_alarms_count_patients_alike():
    _, thresholds = measured([("c", [1.0, 2.0])], [("a", [9.0, 9.0, 9.0]), ("b", [0.0])])
    slices = next(each for each in thresholds if each.unit == "slice" and each.false_alarms == 0.05)
    assert slices.score == 2.0
    assert slices.observed.value == 0.5
    assert (slices.calibration, slices.authentic, slices.authentic_patients) == (2, 4, 2)


def test_scans_have_thresholds_of_their_own():
    _, thresholds = measured([("c", [1.0, 5.0]), ("d", [2.0, 3.0])], [("a", [4.0, 0.0]), ("b", [6.0, 0.0])])
    scans = next(each for each in thresholds if each.unit == "scan")
    assert scans.score == 5.0
    assert (scans.calibration, scans.observed.value) == (2, 0.5)


def test_single_slices_make_no_scan_threshold():
    facts = dict.fromkeys(("c0", "a0"), SINGLE)
    _, thresholds = measured([("c", [1.0])], [("a", [4.0])], facts)
    scans = next(each for each in thresholds if each.unit == "scan")
    assert math.isnan(scans.score)
    assert scans.calibration == 0


def test_without_calibration_there_is_no_threshold():
    _, thresholds = measured([], [("a", [4.0])])
    assert all(math.isnan(each.score) and math.isnan(each.observed.value) for each in thresholds)


def test_a_missing_calibration_score_is_the_least():
    before = [authentic("c", "c"), authentic("d", "d")]
    after = [authentic("a", "a")]
    slices = {"ours": [scored(before[0], sliced(0, 7.0))], "other": [scored(case, sliced(0, 1.0)) for case in before]}
    made = evidence(after, slices, calibration=before)
    limits = limits_of(measure_thresholds(made, Draws(["a"])), "CT")
    assert limits["ours", "slice", 0.05] == 7.0
    assert authentic_side(made, made.calibration, "CT").scores("ours", "slice").tolist() == [7.0, -math.inf]


@pytest.mark.parametrize(("unit", "expected"), [("slice", [1.0, 2.0]), ("scan", [2.0])])
def test_rests_are_of_slices_or_scans(unit, expected):
    case = authentic("a", "p")
    slices = [sliced(0, 5.0, rest=1.0), sliced(1, 5.0, rest=2.0), sliced(2, 5.0)]
    side = authentic_side(evidence([case], {"ours": [scored(case, *slices)]}), [case], "CT")
    values, groups = side.rests("ours", unit)
    assert values.tolist() == expected
    assert set(groups) == {"p"}
