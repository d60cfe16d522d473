from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tamperscan.detect.findings import MERGE_MM, MOST_FINDINGS, find_peaks

SPACING = (5.0, 3.0, 3.0)
SHAPE = (9, 40, 40)
quick = settings(max_examples=25, deadline=None)


def bumps(*places, height=5.0, width=(1.0, 2.0, 2.0), shape=SHAPE):
    """Gaussian bumps of equal width, each a little lower than the one before."""
    grid = np.indices(shape)
    suspicion = np.zeros(shape, np.float32)
    for number, place in enumerate(places):
        off = [(axis - middle) / size for axis, middle, size in zip(grid, place, width, strict=True)]
        suspicion = np.maximum(suspicion, (height - 0.3 * number) * np.exp(-0.5 * sum(each**2 for each in off)))
    return suspicion.astype(np.float32)


def random_map(seed, holes=0.1):
    rng = np.random.default_rng(seed)
    suspicion = np.abs(ndimage.gaussian_filter(rng.normal(0, 5, SHAPE), (0.5, 1.5, 1.5))).astype(np.float32)
    suspicion[rng.random(SHAPE) < holes] = np.nan
    return suspicion


def distance_mm(one, other, spacing=SPACING):
    return float(np.linalg.norm((np.array(one.centre) - other.centre) * spacing))


def test_peaks_are_where_the_bumps_are_highest_first():
    places = [(2, 8, 8), (2, 30, 30), (7, 8, 30)]
    assert [peak.centre for peak in find_peaks(bumps(*places), SPACING, 1.0)] == places


def test_peaks_that_are_near_are_one():
    assert len(find_peaks(bumps((4, 10, 10), (4, 10, 16)), SPACING, 3.5)) == 1
    assert len(find_peaks(bumps((4, 10, 10), (4, 10, 20)), SPACING, 3.5)) == 2


def test_slope_of_a_wide_peak_is_no_second_finding():
    wide = bumps((4, 20, 20), width=(2.0, 6.0, 6.0))
    assert wide[4, 20, 29] > 1.0
    assert (29 - 20) * SPACING[2] > MERGE_MM
    assert len(find_peaks(wide, SPACING, 1.0)) == 1


def test_one_place_over_several_slices_is_one_finding():
    (peak,) = find_peaks(bumps((4, 20, 20), width=(2.0, 2.0, 2.0)), SPACING, 1.0)
    assert (peak.low[0], peak.high[0]) == (2, 6)


def test_extent_is_where_the_suspicion_stays_high():
    suspicion = np.full(SHAPE, 0.5, np.float32)
    suspicion[3:5, 10:14, 20:23] = 4.0
    suspicion[3, 11, 21] = 5.0
    (peak,) = find_peaks(suspicion, SPACING, 1.0)
    assert (peak.centre, peak.low, peak.high) == ((3, 11, 21), (3, 10, 20), (4, 13, 22))


def test_extent_leaves_out_what_is_not_connected():
    suspicion = np.zeros(SHAPE, np.float32)
    suspicion[4, 20, 20], suspicion[4, 20, 22] = 5.0, 4.9
    (peak,) = find_peaks(suspicion, SPACING, 1.0)
    assert peak.low == peak.high == (4, 20, 20)


def test_at_most_ten():
    flat = np.ones((20, 60, 60), np.float32)
    assert len(find_peaks(flat, (10.0, 10.0, 10.0), 0.5)) == MOST_FINDINGS == 10
    assert len(find_peaks(flat, (10.0, 10.0, 10.0), 0.5, most=3)) == 3


def test_fewer_where_there_is_no_room_for_more():
    assert len(find_peaks(np.ones((2, 4, 4), np.float32), SPACING, 0.5)) == 1


@pytest.mark.parametrize("threshold", [5.0, 6.0, np.inf])
def test_nothing_at_or_below_the_threshold(threshold):
    assert find_peaks(bumps((4, 20, 20)), SPACING, threshold) == []


def test_nothing_in_a_map_without_values():
    assert find_peaks(np.full(SHAPE, np.nan, np.float32), SPACING, 0.0) == []
    assert find_peaks(np.full(SHAPE, np.nan, np.float32), SPACING, -np.inf) == []


@pytest.mark.parametrize("centre", [(0, 0, 0), (8, 39, 39), (0, 39, 0)])
def test_peak_in_a_corner(centre):
    (peak,) = find_peaks(bumps(centre), SPACING, 1.0)
    assert peak.centre == centre
    assert all(0 <= low <= high < side for low, high, side in zip(peak.low, peak.high, SHAPE, strict=True))


def test_single_slice_that_is_thick():
    (peak,) = find_peaks(bumps((0, 20, 20), shape=(1, 40, 40)), (50.0, 3.0, 3.0), 1.0)
    assert (peak.low[0], peak.high[0]) == (0, 0)


def test_map_is_left_as_it_is():
    suspicion = random_map(0)
    before = suspicion.copy()
    find_peaks(suspicion, SPACING, 0.5)
    assert np.array_equal(suspicion, before, equal_nan=True)


@quick
@given(st.integers(0, 10_000), st.floats(0, 3))
def test_peaks_are_in_order_above_the_threshold_and_apart(seed, threshold):
    peaks = find_peaks(random_map(seed), SPACING, threshold)
    assert all(one.score >= other.score > threshold for one, other in pairwise(peaks))
    assert all(peak.score > threshold for peak in peaks)
    apart = [distance_mm(one, other) for number, one in enumerate(peaks) for other in peaks[:number]]
    assert min(apart, default=np.inf) > MERGE_MM


@quick
@given(st.integers(0, 10_000), st.floats(0, 0.9))
def test_highest_place_comes_first(seed, holes):
    suspicion = random_map(seed, holes)
    peaks = find_peaks(suspicion, SPACING, 0.0)
    assert peaks[0].score == np.nanmax(suspicion)
    assert all(suspicion[peak.centre] == np.float32(peak.score) for peak in peaks)


@quick
@given(st.integers(0, 10_000))
def test_extent_holds_its_centre_and_ends_near_it(seed):
    for peak in find_peaks(random_map(seed), SPACING, 0.5):
        corners = zip(peak.low, peak.centre, peak.high, SPACING, strict=True)
        assert all(low <= middle <= high and (high - low) * step <= 2 * MERGE_MM for low, middle, high, step in corners)


@quick
@given(st.integers(0, 10_000), st.integers(0, 2))
def test_mirrored_map_has_mirrored_peaks(seed, axis):
    suspicion = random_map(seed)
    peaks = find_peaks(suspicion, SPACING, 0.5)
    mirrored = find_peaks(np.flip(suspicion, axis), SPACING, 0.5)
    assert [peak.score for peak in mirrored] == [peak.score for peak in peaks]
    centres = [list(peak.centre) for peak in mirrored]
    for centre in centres:
        centre[axis] = SHAPE[axis] - 1 - centre[axis]
    assert centres == [list(peak.centre) for peak in peaks]
