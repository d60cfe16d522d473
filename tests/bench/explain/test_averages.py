from __future__ import annotations

import math

import numpy as np
import pytest

from tamperscan.bench.explain.averages import geometric_means, means
from tamperscan.bench.metrics import mean_estimate

GROUPS = ["a", "a", "b", "c", "c", "c", "d", "e"]


def test_each_column_is_averaged_as_one_alone():
    table = np.random.default_rng(0).standard_normal((8, 3))
    for found, column in zip(means(table, GROUPS), table.T, strict=True):
        wanted = mean_estimate(column, GROUPS)
        assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high))


def test_what_is_not_known_is_left_out():
    first, second = means([[1.0, math.nan], [3.0, math.nan], [math.nan, math.nan]], ["a", "b", "c"])
    assert (first.value, first.low, first.high) == (2.0, 1.0, 3.0)
    assert math.isnan(second.value)
    assert math.isnan(second.low)


def test_the_mean_of_a_half_and_its_double_is_one():
    (found,) = geometric_means(np.log([0.5, 2.0]), ["a", "b"])
    assert found.value == pytest.approx(1.0)
    assert (found.low, found.high) == pytest.approx((0.5, 2.0))
