import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamperscan.bench.metrics import (
    auc,
    auc_estimate,
    binomial,
    bootstrap,
    equal_weights,
    mean,
    mean_estimate,
    share_above,
    share_estimate,
    threshold_at,
    weighted_quantile,
)

try:
    from sklearn.metrics import roc_auc_score
except ImportError:
    roc_auc_score = None

unhurried = settings(deadline=None)
scores = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=20)
weights = st.integers(0, 4).map(float)


def test_auc_by_hand():
    assert auc([3, 4], [1, 2]) == 1.0
    assert auc([1, 2], [3, 4]) == 0.0
    assert auc([2], [1, 2, 3]) == 0.5
    assert auc([2, 2], [2]) == 0.5
    assert auc([3, 1], [2], positive_weights=[3, 1]) == 0.75


def test_auc_counts_the_unmeasured_as_least():
    assert auc([-math.inf, 5], [1, 2]) == 0.5


def test_auc_of_nothing_is_unknown():
    assert math.isnan(auc([], [1.0]))
    assert math.isnan(auc([1.0], [2.0], negative_weights=[0.0]))


@unhurried
@given(scores, scores)
def test_auc_turns_round_with_its_sides(first, second):
    assert auc(first, second) == pytest.approx(1 - auc(second, first))


@unhurried
@given(scores, scores)
def test_auc_ignores_the_scale(first, second):
    assert auc(first, second) == auc(np.exp(first), np.exp(second))


@unhurried
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(1, 4)), min_size=1, max_size=10), scores)
def test_weights_are_repeats(weighted, negatives):
    values, counts = zip(*weighted, strict=True)
    assert auc(values, negatives, counts) == pytest.approx(auc(np.repeat(values, counts), negatives))


@pytest.mark.skipif(roc_auc_score is None, reason="scikit-learn is not installed")
@unhurried
@given(scores, scores, st.integers(0, 99))
def test_auc_is_that_of_scikit_learn(first, second, seed):
    sizes = np.random.default_rng(seed).integers(1, 5, len(first) + len(second))
    truth = [1] * len(first) + [0] * len(second)
    expected = roc_auc_score(truth, first + second, sample_weight=sizes)
    assert auc(first, second, sizes[: len(first)], sizes[len(first) :]) == pytest.approx(expected)


def test_quantile_by_hand():
    assert weighted_quantile([3, 1, 2], 0.5) == 2
    assert weighted_quantile([1, 2, 3, 4], 0.5) == 2
    assert weighted_quantile([1, 2, 3], 0.5, [4, 1, 1]) == 1
    assert weighted_quantile([1, 2, 3], 1.0, [1, 1, 0]) == 2
    assert math.isnan(weighted_quantile([], 0.5))


@unhurried
@given(
    st.lists(st.tuples(st.integers(-9, 9), weights), min_size=1, max_size=30), st.sampled_from([0.0, 0.01, 0.05, 0.5])
)
def test_threshold_keeps_its_promise_and_is_the_lowest(weighted, rate):
    values, sizes = zip(*weighted, strict=True)
    if sum(sizes) == 0:
        return
    threshold = threshold_at(values, rate, sizes)
    assert share_above(values, threshold, sizes) <= rate + 1e-6
    lower = [value for value, size in weighted if value < threshold and size]
    assert not lower or share_above(values, max(lower), sizes) > rate


def test_share_above_is_strict():
    assert share_above([1, 2, 3, 3], 2) == 0.5
    assert share_above([1, 3], 2, [3, 1]) == 0.25


def test_mean_leaves_out_the_unknown():
    assert mean([1, math.nan, 3]) == 2
    assert mean([1, math.nan, 3], [1, 9, 3]) == 2.5
    assert math.isnan(mean([math.nan]))


def test_groups_count_alike():
    assert equal_weights(["a", "b", "a", "a"]) == pytest.approx([1 / 3, 1, 1 / 3, 1 / 3])
    assert mean_estimate([0, 0, 0, 1], ["a", "a", "a", "b"], alike=True).value == 0.5
    assert mean_estimate([0, 0, 0, 1], ["a", "a", "a", "b"]).value == 0.25


def test_bootstrap_draws_whole_groups():
    drawn = []
    bootstrap(lambda counts: drawn.append(counts) or 0.0, ["a", "b", "a", "c"], rounds=50)
    assert all(counts[0] == counts[2] for counts in drawn)
    assert all(counts[[0, 1, 3]].sum() == 3 for counts in drawn)
    assert len({tuple(counts) for counts in drawn}) > 3


def test_bootstrap_is_seeded():
    values, groups = np.arange(12.0), [str(index // 2) for index in range(12)]
    first, again = (mean_estimate(values, groups, rounds=100) for _ in range(2))
    assert first == again
    assert first != mean_estimate(values, groups, rounds=100, seed=1)


@unhurried
@given(scores, scores)
def test_interval_holds_within_what_can_be(first, second):
    names = [str(index) for index in range(20)]
    measured = auc_estimate(first, second, names[: len(first)], names[: len(second)], rounds=50)
    assert measured.value == pytest.approx(auc(first, second))
    assert 0 <= measured.low <= measured.high <= 1


def test_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    groups = [str(index // 2) for index in range(60)]
    hits = 0
    for _ in range(100):
        values = np.repeat(generator.normal(size=30), 2)
        measured = mean_estimate(values, groups, rounds=200)
        hits += measured.low <= 0 <= measured.high
    assert 85 <= hits <= 100


def test_auc_estimate_lets_patients_count_alike():
    measured = auc_estimate([2.0], [1.0, 3.0, 3.0, 3.0], ["s"], ["a", "b", "b", "b"], rounds=20)
    assert measured.value == pytest.approx(0.5)


def test_estimate_of_nothing():
    assert math.isnan(mean_estimate([], []).value)
    assert math.isnan(auc_estimate([], [1.0], [], ["a"], rounds=5).low)


def test_binomial_is_wilsons():
    measured = binomial(1, 10)
    assert (measured.value, measured.low, measured.high) == pytest.approx((0.1, 0.0179, 0.4042), abs=1e-4)
    assert binomial(0, 10).low == 0.0
    assert binomial(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert math.isnan(binomial(0, 0).value)


def test_a_share_of_none_is_still_uncertain():
    measured = share_estimate([False] * 20, [str(index // 2) for index in range(20)])
    assert (measured.value, measured.low) == (0.0, 0.0)
    assert measured.high == pytest.approx(binomial(0, 10).high)
    assert share_estimate([True, True], ["a", "b"]).low == pytest.approx(binomial(2, 2).low)
