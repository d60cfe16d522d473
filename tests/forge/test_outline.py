from __future__ import annotations

import numpy as np
import pytest

from tamperscan.forge.outline import hard_mask, relative_radius, soft_mask
from tamperscan.forge.site import Place

from .tissue import lung_scan, site_at


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def site():
    return site_at(lung_scan())


def test_the_radius_differs_by_direction_about_its_mean(site):
    radius = relative_radius(site.offsets_mm(), rng(), 0.1)
    assert radius.mean() == pytest.approx(1.0, abs=0.05)
    assert 0.05 < radius.std() < 0.15


def test_the_radius_is_that_of_the_direction_alone(site):
    offsets = site.offsets_mm()
    twice = tuple(2 * offset for offset in offsets)
    away = site.distance_mm() > 0
    near, far = (relative_radius(each, rng(), 0.1) for each in (offsets, twice))
    assert np.allclose(near[away], far[away], atol=1e-5)


def test_an_even_outline_is_a_ball_in_mm(site):
    mask = hard_mask(site, 8.0, rng(), strength=0.0)
    assert np.array_equal(mask, site.distance_mm() <= 8.0)
    extents = [np.ptp(along) * step for along, step in zip(np.nonzero(mask), site.spacing_mm, strict=True)]
    assert extents == pytest.approx([15.0, 16.0, 16.0])


def test_nothing_outside_the_cube_is_masked(site):
    assert not (hard_mask(site, 25.0, rng()) & ~site.alterable()).any()


def test_a_soft_mask_fades_from_the_middle_to_the_border_of_the_cube(site):
    mask = soft_mask(site, 25.0, 2.0, rng())
    assert mask[site.centre] == 1.0
    assert mask[~site.alterable()].max() == 0.0
    faces = np.abs(np.diff(mask, axis=2)).max()
    assert 0.0 < faces < 0.8


def test_same_generator_same_outline(site):
    first, again, other = (hard_mask(site, 8.0, rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_single_slice_has_an_outline():
    site = site_at(lung_scan(shape=(1, 96, 96)), Place(0, 48, 40))
    mask = hard_mask(site, 8.0, rng())
    assert mask.sum() == pytest.approx(np.pi * 64, rel=0.3)
