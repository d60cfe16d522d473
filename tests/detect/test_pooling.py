from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect.pooling import pool_slices


def test_a_single_slice_stays_as_it_is():
    one = np.random.default_rng(0).normal(size=(1, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(pool_slices(one, 2.5), one)


def test_slices_far_apart_stay_as_they_are():
    thick = np.random.default_rng(0).normal(size=(5, 8, 9)).astype(np.float32)
    np.testing.assert_array_equal(pool_slices(thick, 15.0), thick)


def test_what_is_the_same_in_all_slices_stays():
    same = np.broadcast_to(np.random.default_rng(0).normal(size=(8, 9)).astype(np.float32), (20, 8, 9))
    np.testing.assert_allclose(pool_slices(same, 2.5), same, rtol=1e-5)


def test_a_place_through_many_slices_stands_out_of_chance():
    rng = np.random.default_rng(1)
    suspicion = rng.normal(size=(40, 30, 30)).astype(np.float32)
    suspicion[14:27, 12, 12] += 2.0  # 13 slices of 2.5 mm, the height of what attacks replace
    pooled = pool_slices(suspicion, 2.5)
    assert np.unravel_index(np.argmax(pooled), pooled.shape)[1:] == (12, 12)
    assert np.unravel_index(np.argmax(suspicion), suspicion.shape)[1:] != (12, 12)


def test_what_was_not_measured_counts_nothing_and_stays_unknown():
    suspicion = np.ones((10, 2, 2), dtype=np.float32)
    suspicion[4] = np.nan
    suspicion[:, 1, 1] = np.nan
    pooled = pool_slices(suspicion, 2.5)
    assert np.isnan(pooled[4]).all()
    assert np.isnan(pooled[:, 1, 1]).all()
    assert pooled[5, 0, 0] == pytest.approx(1.0)
