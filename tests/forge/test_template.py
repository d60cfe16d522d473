from dataclasses import replace

import numpy as np
import pytest

from tamperscan.forge.site import Place, cut_site
from tamperscan.forge.template import fill_lesion, nodule_share, paste_nodule, release_map
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import LUNG_NOISE_CT


def site_of(spacing=(1.5, 1.0, 1.0), diameter_mm=12.0, value=-850.0, shape=(48, 70, 70)):
    scan = Scan(np.full(shape, value, np.float32), spacing, "CT", "even")
    middle = [side // 2 for side in shape]
    return cut_site(scan, Place(*middle, diameter_mm))


@pytest.mark.parametrize(("spacing", "shape"), [((1.2, 1.2, 1.2), (56, 60, 60)), ((5.0, 0.9, 0.9), (20, 80, 80))])
def test_the_nodule_has_the_wanted_volume(spacing, shape):
    volumes = []
    for seed in range(8):
        share = nodule_share(site_of(spacing, shape=shape), np.random.default_rng(seed))
        volumes.append(share.sum() * np.prod(spacing))
    assert np.mean(volumes) == pytest.approx(np.pi / 6 * 12.0**3, rel=0.15)


def test_no_two_nodules_are_alike():
    site = site_of()
    one, other = (nodule_share(site, np.random.default_rng(seed)) for seed in (1, 2))
    assert np.abs(one - other).sum() > 0.05 * one.sum()


def test_in_a_single_slice_the_nodule_is_cut_through_its_middle():
    share = nodule_share(site_of((5.0, 0.7, 0.7), shape=(1, 100, 100)), np.random.default_rng(0))
    assert share.sum() * 0.7**2 == pytest.approx(np.pi * 6.0**2, rel=0.3)


def test_a_thick_slice_shows_a_part_of_the_nodule():
    share = nodule_share(site_of((8.0, 0.7, 0.7), diameter_mm=5.0, shape=(11, 100, 100)), np.random.default_rng(0))
    assert 0.3 < share.max() < 0.95


def test_the_nodule_is_as_dense_as_soft_tissue():
    site = site_of()
    pasted = paste_nodule(site, np.ones_like(site.voxels), np.random.default_rng(0))
    assert 20 <= pasted[site.centre] <= 90
    assert pasted.min() == -850.0


def test_what_is_denser_than_the_nodule_stays():
    site = site_of(value=300.0)
    pasted = paste_nodule(site, np.ones_like(site.voxels), np.random.default_rng(0))
    assert np.array_equal(pasted, site.voxels)


@pytest.mark.parametrize("diameter_mm", [4.0, 12.0, 32.0])
def test_the_map_covers_the_lesion_and_stays_within_the_cube(diameter_mm):
    site = site_of(diameter_mm=diameter_mm)
    share = release_map(site, LUNG_NOISE_CT, np.random.default_rng(0))
    assert share[site.centre] == 1.0
    assert not share[~site.alterable()].any()
    assert (share[site.distance_mm() < min(diameter_mm, 24) / 2] > 0.9).all()


def test_the_map_fades():
    share = release_map(site_of(), LUNG_NOISE_CT, np.random.default_rng(0))
    assert np.abs(np.diff(share, axis=2)).max() < 0.5
    assert ((share > 0.1) & (share < 0.9)).any()


def test_bone_is_left_out_but_not_a_dense_lesion():
    site = site_of(value=900.0)
    share = release_map(site, LUNG_NOISE_CT, np.random.default_rng(0))
    assert share[site.centre] == 1.0
    assert not share[site.distance_mm() > 6.0].any()


def test_a_lesion_is_filled_in_by_the_level_around_it():
    even = site_of()
    site = replace(even, voxels=np.where(even.distance_mm() < 6.0, np.float32(40.0), even.voxels))
    filled = fill_lesion(site, release_map(site, LUNG_NOISE_CT, np.random.default_rng(0)))
    assert filled == pytest.approx(np.full_like(filled, -850.0), abs=1.0)
