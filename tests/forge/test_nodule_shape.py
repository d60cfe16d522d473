from __future__ import annotations

import numpy as np
import pytest

from tamperscan.forge.nodule_shape import Blur, draw_nodule
from tamperscan.forge.site import Place

from .tissue import lung_scan, site_at

THIN = Blur(0.5, 1.0)


def drawn(spacing=(1.0, 1.0, 1.0), blur=THIN, diameter=12.0, irregularity=0.0, spiculated=False, seed=0, slices=48):
    shape = (slices, 64, 64)
    site = site_at(lung_scan(shape=shape, spacing=spacing), Place(slices // 2, 32, 32, diameter))
    nodule = draw_nodule(site, blur, irregularity, spiculated, np.random.default_rng(seed))
    return site, nodule


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.5, 0.7, 0.7), (5.0, 0.8, 0.8), (0.8, 0.65, 0.65)])
def test_it_has_the_volume_that_was_asked_for_whatever_the_spacing(spacing):
    _, nodule = drawn(spacing, Blur(0.5, spacing[0]))
    assert nodule.sum() * np.prod(spacing) == pytest.approx(np.pi / 6 * 12**3, rel=0.05)


def test_no_two_are_alike_and_lobes_keep_the_size():
    _, first = drawn(irregularity=0.15)
    _, again = drawn(irregularity=0.15)
    _, other = drawn(irregularity=0.15, seed=1)
    assert np.array_equal(first, again)
    assert np.abs(first - other).max() > 0.5
    assert first.sum() == pytest.approx(np.pi / 6 * 12**3, rel=0.35)


def test_thick_slices_average_over_their_thickness():
    _, thin = drawn((1.0, 1.0, 1.0), Blur(0.5, 1.0))
    _, thick = drawn((1.0, 1.0, 1.0), Blur(0.5, 5.0))
    assert (thin[:, 32, 32] > 0.01).sum() + 2 <= (thick[:, 32, 32] > 0.01).sum()
    assert 0.1 < thick[18, 32, 32] < 0.9


def test_the_edge_is_as_blurred_as_the_scan():
    _, nodule = drawn(blur=Blur(1.5, 1.0), diameter=20.0)
    profile = nodule[24, 32, 32:]
    slope = -np.diff(profile).min()
    assert slope == pytest.approx(1 / (np.sqrt(2 * np.pi) * 1.5), rel=0.1)


def test_spikes_reach_out_of_it():
    site, smooth = drawn()
    _, spiky = drawn(spiculated=True)
    assert site.distance_mm()[smooth > 0.1].max() + 1 < site.distance_mm()[spiky > 0.1].max()


def test_it_stays_in_the_cube():
    site, nodule = drawn(diameter=24.0, irregularity=0.2, spiculated=True)
    assert not nodule[~site.alterable()].any()
    assert 0.0 <= nodule.min() <= nodule.max() <= 1.0


def test_a_single_slice_cuts_through_its_middle():
    site, nodule = drawn((2.0, 1.0, 1.0), Blur(0.5, 2.0), slices=1)
    assert site.planar
    assert nodule.sum() == pytest.approx(np.pi * 36, rel=0.1)
