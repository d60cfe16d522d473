from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from tamperscan.detect.regions import TISSUES, Tissues
from tamperscan.detect.statistics import COVARIATES, GRID_MM, WINDOW_MM, grid_step, window_statistics

SPACING = (1.0, 1.0)
STEP = 3
quick = settings(max_examples=15, deadline=None)


def noise_of(strengths, shape=(120, 120), seed=0):
    """White noise ``[level, row, column]`` of one strength a level."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.normal(0, strength, shape) for strength in strengths]).astype(np.float32)


def halves(shape=(120, 120)):
    """Parenchyma on the left, soft tissue on the right."""
    left = np.zeros(shape, bool)
    left[:, : shape[1] // 2] = True
    return Tissues(parenchyma=left, soft=~left, between=np.zeros(shape, bool))


def measure(noise, classes=None, spacing=SPACING, hu=None):
    shape = noise.shape[1:]
    hu = np.full(shape, -860, np.float32) if hu is None else hu
    return window_statistics(hu, noise, np.ones(shape, bool), classes or halves(shape), spacing)


def tissue(statistics, name):
    return statistics.energy[TISSUES.index(name)]


@pytest.mark.parametrize("strength", [0.05, 1.0, 7.0])
def test_energy_is_log_mean_square(strength):
    found = tissue(measure(noise_of([strength])), "parenchyma")
    assert np.nanmean(found) == pytest.approx(math.log(strength**2), abs=0.05)
    assert np.nanstd(found) < 0.2


def test_energy_is_by_tissue():
    noise = noise_of([1.0])
    noise[:, :, 60:] *= 3
    found = measure(noise)
    assert np.nanmean(tissue(found, "parenchyma")) == pytest.approx(0, abs=0.05)
    assert np.nanmean(tissue(found, "soft")) == pytest.approx(math.log(9), abs=0.05)


def test_energy_at_the_border_of_tissues_holds_none_of_the_other():
    noise = np.ones((1, 120, 120), np.float32)
    noise[:, :, 60:] = 5
    assert np.nanmax(np.abs(tissue(measure(noise), "parenchyma"))) < 1e-4


def test_levels_are_averaged_by_their_logs():
    both, first, second = (measure(noise_of(levels)) for levels in ([2.0, 0.5], [2.0], [0.5]))
    assert np.nanmean(both.energy[0]) == pytest.approx(np.nanmean((first.energy[0] + second.energy[0]) / 2), abs=0.02)


def grained(blur, strength=1.0, seed=0, shape=(120, 120)):
    """One level of noise whose neighbours are correlated by a blur."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur)
    return (strength * noise / noise.std())[None].astype(np.float32)


def correlation_of(blur):
    """Return the correlation between neighbours of white noise after a Gaussian blur: its own, sampled and blurred."""
    kernel = ndimage.gaussian_filter1d(np.eye(41)[20], blur)
    return float(kernel[1:] @ kernel[:-1] / (kernel @ kernel))


@pytest.mark.parametrize("blur", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("strength", [0.1, 4.0])
def test_whiteness_is_one_less_the_correlation_of_neighbours(blur, strength):
    found = measure(grained(blur, strength)).whiteness[TISSUES.index("parenchyma")]
    assert np.nanmean(found) == pytest.approx(1 - correlation_of(blur), abs=0.03)


def test_whiteness_is_by_tissue_and_not_over_their_border():
    noise = np.concatenate((grained(0.1)[:, :, :60], grained(1.0, 50.0)[:, :, :60]), axis=2)
    found = measure(noise).whiteness
    here, there = (found[TISSUES.index(name)] for name in ("parenchyma", "soft"))
    assert np.nanmean(here) == pytest.approx(1, abs=0.05)
    assert np.nanmean(there) == pytest.approx(1 - correlation_of(1.0), abs=0.05)
    # What ends at the border is not compared with the far stronger noise beyond it.
    assert np.nanmax(np.abs(here - 1)) < 0.4


def test_whiteness_is_known_where_the_energy_is():
    found = measure(noise_of([1.0, 2.0]))
    assert np.array_equal(np.isnan(found.whiteness), np.isnan(found.energy))


def test_pixels_without_neighbours_of_their_tissue_have_no_whiteness():
    rows, columns = np.indices((120, 120))
    board = (rows + columns) % 2 == 0
    found = measure(noise_of([1.0]), Tissues(board, np.zeros_like(board), np.zeros_like(board)))
    assert np.isfinite(tissue(found, "parenchyma")).all()
    assert np.isnan(found.whiteness).all()


def test_missing_tissue_is_nan():
    found = measure(noise_of([1.0]))
    assert np.isnan(tissue(found, "between")).all()
    assert np.isnan(tissue(found, "soft")[:, :10]).all()
    assert found.inside.all()


def test_no_tissue_at_all_is_nowhere_inside():
    none = np.zeros((60, 60), bool)
    found = measure(noise_of([1.0], (60, 60)), Tissues(none, none, none))
    assert np.isnan(found.energy).all()
    assert np.isnan(found.whiteness).all()
    assert not found.inside.any()


def test_outside_the_lung_is_not_inside():
    lung = np.zeros((120, 120), bool)
    lung[30:90, 30:90] = True
    found = window_statistics(np.zeros(lung.shape, np.float32), noise_of([1.0]), lung, halves(), SPACING)
    assert found.inside.sum() == 20 * 20
    assert found.inside[10:30, 10:30].all()


def test_cell_is_inside_if_more_than_half_of_it_is_lung():
    lung = np.zeros((120, 120), bool)
    lung[30:90, 30:92] = True
    lung[30:90, 28] = True
    found = window_statistics(np.zeros(lung.shape, np.float32), noise_of([1.0]), lung, halves(), SPACING)
    assert found.inside[15, 30]  # two thirds
    assert not found.inside[15, 9]  # one third


def test_no_noise_is_nan_and_not_minus_infinity():
    found = measure(np.zeros((1, 60, 60), np.float32))
    assert not np.isinf(found.energy).any()
    assert np.isnan(found.energy).all()


@quick
@given(st.integers(0, 119), st.integers(0, 119))
def test_window_sees_its_surroundings_only(row, column):
    noise = noise_of([1.0])
    changed = noise.copy()
    changed[0, row, column] += 10
    before, after = (np.nan_to_num(measure(each).energy) for each in (noise, changed))
    cells = np.argwhere((before != after).any(axis=0))
    seen_mm = np.abs((cells + 0.5) * STEP - (row, column)).max()
    assert len(cells)
    assert seen_mm <= 2.5 * WINDOW_MM + 2 * STEP


@quick
@given(st.integers(0, 119), st.integers(0, 119))
def test_cells_lie_where_their_pixels_are(row, column):
    noise = np.full((1, 120, 120), 0.1, np.float32)
    noise[0, row, column] = 50
    every = np.ones((120, 120), bool)
    found = measure(noise, Tissues(every, np.zeros_like(every), np.zeros_like(every)))
    # At the border the window is cut, so a place further in may weigh less than one at the edge itself.
    peak = np.unravel_index(np.nanargmax(found.energy[0]), found.energy[0].shape)
    near = np.abs(np.array(peak) - (row // STEP, column // STEP))
    inner = all(8 <= index // STEP < 32 for index in (row, column))
    assert near.max() == 0 or not inner


@quick
@given(st.floats(0.1, 10), st.integers(0, 100))
def test_stronger_noise_adds_its_log(factor, seed):
    noise = noise_of([1.0, 2.0], (60, 60), seed)
    added = measure(noise * np.float32(factor)).energy - measure(noise).energy
    assert np.allclose(added[np.isfinite(added)], 2 * math.log(factor), atol=1e-3)
    assert np.isfinite(added).any()


def test_twice_the_noise_is_log_four():
    noise = noise_of([1.0], (60, 60))
    assert np.nanmean(measure(2 * noise).energy - measure(noise).energy) == pytest.approx(math.log(4), abs=1e-4)


@pytest.mark.parametrize("shape", [(119, 121), (31, 100), (61, 60)])
def test_sides_that_are_no_multiples_of_the_step(shape):
    found = measure(noise_of([1.0], shape))
    assert found.energy.shape == (3, shape[0] // STEP, shape[1] // STEP)
    assert found.covariates.shape == (len(COVARIATES), shape[0] // STEP, shape[1] // STEP)
    assert found.inside.all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 90), (3, 3)])
def test_image_of_a_few_pixels(shape):
    found = measure(noise_of([1.0], shape))
    assert found.inside.shape == (shape[0] // STEP, shape[1] // STEP)
    assert not found.inside.any()


def test_rest_that_fills_no_cell_is_left_out():
    noise, left = noise_of([1.0], (122, 121)), halves((122, 120)).parenchyma
    classes = [Tissues(mask, ~mask, np.zeros_like(mask)) for mask in (np.pad(left, ((0, 0), (0, 1))), left[:120])]
    whole, cut = measure(noise, classes[0]), measure(noise[:, :120, :120], classes[1])
    assert np.array_equal(whole.energy, cut.energy, equal_nan=True)


@pytest.mark.parametrize(("pixel_mm", "step"), [(0.3, 10), (0.7, 4), (1.0, 3), (1.5, 2), (3.0, 1), (8.0, 1)])
def test_step_of_the_grid(pixel_mm, step):
    assert grid_step((pixel_mm, pixel_mm)) == step
    assert abs(step * pixel_mm - GRID_MM) <= pixel_mm / 2 or step == 1


def test_position_is_in_mm_from_the_middle_of_the_lung():
    lung = np.zeros((120, 120), bool)
    lung[20:80, 30:110] = True
    found = window_statistics(np.zeros(lung.shape, np.float32), noise_of([1.0]), lung, halves(), SPACING)
    row, column, radius = (found.covariates[COVARIATES.index(name)] * 100 for name in ("row", "column", "radius"))
    assert row[:, 0] == pytest.approx(np.arange(40) * 3 + 1 - 49.5, abs=1e-3)
    assert column[0] == pytest.approx(np.arange(40) * 3 + 1 - 69.5, abs=1e-3)
    assert radius == pytest.approx(np.hypot(row, column), abs=1e-3)


def test_shares_and_density_are_those_of_the_window():
    classes = halves()
    hu = np.where(classes.soft, np.float32(40), np.float32(-860))
    found = measure(noise_of([1.0]), classes, hu=hu)
    parenchyma, soft, density = (
        found.covariates[COVARIATES.index(name), 20] for name in ("parenchyma share", "soft share", "density")
    )
    assert (parenchyma[10], soft[10]) == pytest.approx((1, 0), abs=0.01)
    assert (parenchyma[30], soft[30]) == pytest.approx((0, 1), abs=0.01)
    assert (density[10], density[30]) == pytest.approx((-0.86, 0.04), abs=0.01)


def test_values_are_finite_for_metal_and_padding():
    hu = np.random.default_rng(1).choice([-32768.0, 32767.0, -1024.0], (60, 60)).astype(np.float32)
    assert np.isfinite(measure(noise_of([1.0], (60, 60)), hu=hu).covariates).all()
