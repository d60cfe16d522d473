from __future__ import annotations

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge import nodule
from tamperscan.forge.forgery import forge
from tamperscan.forge.nodule_statistics import packaged_statistics
from tamperscan.forge.site import Place

from .tissue import LUNG_HU, MIDDLE, WALL_FROM, distance_mm, high_pass_std, lung_scan, mr_scan, site_at


@pytest.fixture(scope="module")
def scan():
    return lung_scan()


def inject(scan, seed=0, place=MIDDLE, **options):
    return forge(scan, nodule.make(**options), "inject", place, seed=seed)


def within(scan, radius_mm, place=MIDDLE):
    return distance_mm(scan.shape, place.index, scan.spacing_mm) < radius_mm


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_its_density_is_that_of_real_nodules(scan, seed):
    forgery = inject(scan, seed)
    real = [figures.density_hu for figures in packaged_statistics()]
    assert min(real) - 25 < forgery.scan.voxels[within(scan, 3.0)].mean() < max(real) + 25


def test_the_noise_inside_is_as_strong_as_around(scan):
    forgery = inject(scan, place=Place(*MIDDLE.index, diameter_mm=20.0))
    inside = high_pass_std(forgery.scan.voxels, within(scan, 5.0))
    around = high_pass_std(scan.voxels, within(scan, 30.0) & ~within(scan, 20.0))
    assert around <= inside < 1.5 * around


def test_the_noise_inside_is_the_scans_own():
    place = Place(*MIDDLE.index, diameter_mm=20.0)
    quiet, loud = (inject(lung_scan(noise_hu=level), place=place) for level in (8.0, 40.0))
    levels = [high_pass_std(each.scan.voxels, within(each.scan, 5.0)) for each in (quiet, loud)]
    assert levels[1] > 2 * levels[0]


def test_only_the_cube_is_altered(scan):
    forgery = inject(scan, place=Place(*MIDDLE.index, diameter_mm=24.0), spiculated=True)
    site = site_at(scan)
    outside = np.ones(scan.shape, bool)
    outside[site.box] = ~site.alterable()
    assert not forgery.mask[outside].any()
    assert forgery.record.settings["spiculated"] is True


def test_same_seed_same_nodule(scan):
    first, again, other = (inject(scan, seed).record.sha256 for seed in (1, 1, 2))
    assert first == again != other


def test_its_size_is_in_mm_along_every_axis():
    scan = lung_scan(spacing=(4.0, 0.8, 1.0), shape=(16, 96, 96))
    forgery = inject(scan, place=Place(8, 48, 40, 16.0), spiculated=False)
    dense = forgery.scan.voxels[:, 10:-10, 10:70] > -400
    extents = [np.ptp(along) * step for along, step in zip(np.nonzero(dense), scan.spacing_mm, strict=True)]
    assert all(10 < extent < 24 for extent in extents)


def test_what_is_denser_stays():
    voxels = lung_scan().voxels.copy()
    bone = np.s_[8:13, 46:51, 50:53]
    voxels[bone] = 900.0
    scan = lung_scan()
    scan = type(scan)(voxels, scan.spacing_mm, "CT", "rib")
    forgery = inject(scan, place=Place(*MIDDLE.index, diameter_mm=20.0))
    assert forgery.scan.voxels[bone].min() > 700


def test_a_single_slice_gets_a_flat_one():
    flat = lung_scan(shape=(1, 96, 96))
    forgery = inject(flat, place=Place(0, 48, 40))
    assert forgery.record.dimensions == 2
    assert forgery.scan.voxels[0, 48, 40] > -150


def test_in_mr_it_lies_between_its_surroundings_and_the_brightest_tissue():
    scan = mr_scan()
    forgery = inject(scan)
    assert 250 < forgery.scan.voxels[within(scan, 3.0)].mean() < 600


def test_what_can_not_work_is_refused(scan):
    with pytest.raises(ForgeError, match="smooth"):
        forge(scan, nodule.make(), "remove", MIDDLE)
    with pytest.raises(ForgeError, match="at most 24 mm"):
        inject(scan, place=Place(*MIDDLE.index, diameter_mm=25.0))
    with pytest.raises(ForgeError, match="solid tissue"):
        inject(scan, place=Place(10, 48, WALL_FROM + 8, 8.0))
    with pytest.raises(ForgeError, match="as bright"):
        inject(mr_scan(), place=Place(10, 48, WALL_FROM + 8, 8.0))
    with pytest.raises(ForgeError, match="no weights"):
        nodule.make("folder")


def test_air_is_refused(scan):
    air = type(scan)(scan.voxels - (1000 + LUNG_HU), scan.spacing_mm, "CT", "air")
    with pytest.raises(ForgeError, match="air"):
        inject(air)
