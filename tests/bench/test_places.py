import math

import numpy as np
import pytest

from tamperscan.bench.places import disc_mean, distance_mm, far_from, grid_places, largest, random_place, rank_within

SPACING = (0.5, 1.0)
EVERYWHERE = np.ones((80, 60), bool)


def test_distance_is_in_mm():
    assert distance_mm((0, 0), (6, 4), SPACING) == 5.0


def test_far_from_is_in_mm():
    far = far_from([(40, 30)], EVERYWHERE.shape, SPACING, 10.0)
    assert far[60, 30] == False  # noqa: E712
    assert far[61, 30]
    assert far[40, 41]
    assert not far[40, 40]


def test_far_from_nothing_is_everywhere():
    assert far_from([], (3, 4), SPACING).all()


def test_grid_steps_in_mm_within_the_mask():
    mask = EVERYWHERE.copy()
    mask[:, :30] = False
    places = grid_places(mask, SPACING, 6.0)
    rows, columns = (sorted(set(axis)) for axis in zip(*places, strict=True))
    assert set(np.diff(rows)) == {12}
    assert set(np.diff(columns)) == {6}
    assert min(columns) >= 30


def test_disc_mean_takes_the_region_only():
    values = np.zeros((80, 60), np.float32)
    values[:, 30:] = 4
    assert disc_mean(values, EVERYWHERE & (values > 0), (40, 30), SPACING) == 4
    assert 1.5 < disc_mean(values, EVERYWHERE, (40, 30), SPACING) < 2.5
    assert math.isnan(disc_mean(values, ~EVERYWHERE, (40, 30), SPACING))


def test_disc_at_the_edge_stays_inside():
    assert disc_mean(np.ones((80, 60), np.float32), EVERYWHERE, (0, 59), SPACING) == 1


def test_disc_is_as_large_as_it_says():
    values = np.zeros((80, 60), np.float32)
    values[40 + 16, 30] = 1
    assert disc_mean(values, EVERYWHERE, (40, 30), SPACING, 8.0) > 0
    assert disc_mean(values, EVERYWHERE, (40, 30), SPACING, 7.9) == 0


@pytest.mark.parametrize(("here", "rank"), [(5.0, 1.0), (1.0, 0.5), (0.0, 0.0)])
def test_rank_within_a_slice(here, rank):
    values = np.ones((80, 60), np.float32)
    values[~far_from([(10, 10)], values.shape, SPACING, 9.0)] = here
    rest = far_from([(10, 10)], values.shape, SPACING, 20.0)
    assert rank_within(values, EVERYWHERE, (10, 10), rest, SPACING) == rank


def test_rank_is_unknown_outside_the_lung_and_without_a_rest():
    values = np.ones((80, 60), np.float32)
    assert math.isnan(rank_within(values, ~EVERYWHERE, (10, 10), EVERYWHERE, SPACING))
    assert math.isnan(rank_within(values, EVERYWHERE, (10, 10), ~EVERYWHERE, SPACING))


def test_random_place_lies_in_the_region_and_stays():
    region = np.zeros((9, 9), bool)
    region[3, 4:7] = True
    places = {random_place(region, str(name)) for name in range(40)}
    assert places == {(3, 4), (3, 5), (3, 6)}
    assert random_place(region, "a") == random_place(region, "a")
    assert random_place(~np.ones((9, 9), bool), "a") is None


def test_largest_of_nothing_is_unknown():
    assert math.isnan(largest(np.ones((2, 2), np.float32), np.zeros((2, 2), bool)))
