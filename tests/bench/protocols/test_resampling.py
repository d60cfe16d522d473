import math

import numpy as np
import pytest

from tamperscan.bench.metrics import auc, auc_estimate
from tamperscan.bench.protocols.resampling import Draws, Rounds, figures, least


def groups_of(name, count):
    return [f"{name}{index}" for index in range(count)]


def test_rounds_begin_with_the_patients_as_they_are():
    draws = Draws(["b", "a", "a"], rounds=5)
    assert draws.times(["a", "b", "a"])[0].tolist() == [1, 1, 1]
    assert np.all(draws.times(["a", "b"]).sum(axis=1) == 2)


def test_auc_is_that_of_equal_groups():
    positives, negatives = np.array([3.0, 1.0, 5.0]), np.array([2.0, 4.0])
    draws = Draws(["p", "q", "n", "m"])
    measured = draws.auc(positives, negatives, ["p", "p", "q"], ["n", "m"]).estimate()
    assert measured.value == pytest.approx(auc(positives, negatives, positive_weights=[0.5, 0.5, 1.0]))


def test_auc_agrees_with_the_bootstrap_of_separate_sides():
    generator = np.random.default_rng(1)
    positives, negatives = generator.normal(1, 1, 40), generator.normal(0, 1, 60)
    first, second = groups_of("p", 40), groups_of("n", 60)
    ours = Draws([*first, *second]).auc(positives, negatives, first, second).estimate()
    usual = auc_estimate(positives, negatives, first, second)
    assert ours.value == pytest.approx(usual.value)
    assert (ours.low, ours.high) == pytest.approx((usual.low, usual.high), abs=0.03)


def test_auc_of_nothing_is_unknown():
    measured = Draws(["n"]).auc(np.zeros(0), np.ones(1), [], ["n"]).estimate()
    assert math.isnan(measured.value)
    assert math.isnan(measured.low)


def test_one_patient_has_no_interval():
    groups = ["p", "p"], ["n", "m"]
    measured = Draws(["p", "n", "m"]).auc(np.array([3.0, 1.0]), np.array([2.0, 0.0]), *groups).estimate()
    assert measured.value == 0.75
    assert math.isnan(measured.low)


def test_mean_counts_patients_alike_and_leaves_out_the_unknown():
    measured = Draws(["a", "b"]).mean(np.array([1.0, 1.0, 0.0, math.nan]), ["a", "a", "b", "b"])
    assert measured.estimate().value == 0.5


def test_share_of_all_has_the_interval_of_so_many_patients():
    groups = groups_of("p", 4)
    measured = Draws(groups).mean(np.ones(4), groups, share=True).estimate()
    assert measured.value == 1.0
    assert measured.low == pytest.approx(0.51, abs=0.01)


def test_difference_is_taken_in_pairs():
    """Two contenders that differ by the same amount in every patient: the difference is sure, the figures are not."""
    groups = groups_of("p", 8)
    draws = Draws(groups)
    first = draws.mean(np.arange(8.0), groups)
    second = draws.mean(np.arange(8.0) + 0.25, groups)
    told = figures({"ours": first, "other": second}, "ours")["other"]
    assert told.estimate.high - told.estimate.low > 1
    assert (told.gap.low, told.gap.high) == pytest.approx((0.25, 0.25))
    assert told.differs


def test_ours_has_no_difference():
    told = figures({"ours": Rounds(np.ones(3), 5)}, "ours", {"ours": 2})["ours"]
    assert math.isnan(told.gap.value)
    assert not told.differs
    assert told.missing == 2


def test_missing_counts_as_least():
    assert least([1.0, math.nan]).tolist() == [1.0, -math.inf]


def test_a_difference_of_few_patients_has_no_interval():
    groups = groups_of("p", 5)
    draws = Draws(groups)
    first, second = draws.mean(np.zeros(5), groups), draws.mean(np.ones(5), groups)
    told = figures({"ours": first, "other": second}, "ours")["other"]
    assert told.gap.value == 1.0
    assert math.isnan(told.gap.low)
    assert not told.differs
