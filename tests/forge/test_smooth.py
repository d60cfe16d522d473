from __future__ import annotations

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge import smooth
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place
from tamperscan.forge.smooth import fill_biharmonic

from .tissue import LUNG_HU, MIDDLE, NOISE_HU, distance_mm, high_pass_std, lung_scan, mr_scan, site_at

NODULE = (*MIDDLE.index, MIDDLE.diameter_mm)


@pytest.fixture(scope="module")
def scan():
    return lung_scan(balls=[NODULE])


def remove(scan, seed=0, place=MIDDLE):
    return forge(scan, smooth.make(), "remove", place, seed=seed)


def test_values_and_slopes_go_on_whatever_the_spacing():
    spacing = (2.0, 0.8, 0.5)
    along, down, across = np.ogrid[:11, :21, :31]
    bent = along * spacing[0] * (down * spacing[1]) ** 2 + 3.0 * across * spacing[2]
    values = np.broadcast_to(bent, (11, 21, 31)).astype(np.float32)
    mask = distance_mm(values.shape, (5, 10, 15), spacing) < 4.0
    filled = fill_biharmonic(np.where(mask, 0, values).astype(np.float32), mask, spacing)
    assert np.allclose(filled, values, rtol=1e-3)


def test_the_nodule_is_gone_and_so_is_the_noise(scan):
    forgery = remove(scan)
    inside = distance_mm(scan.shape, MIDDLE.index, scan.spacing_mm) < 4.0
    assert np.abs(forgery.scan.voxels[inside] - LUNG_HU).max() < 100
    assert high_pass_std(forgery.scan.voxels, inside) < 0.3 * NOISE_HU


def test_only_the_cube_is_altered_and_its_border_does_not_show(scan):
    large = remove(scan, place=Place(*MIDDLE.index, diameter_mm=32.0))
    site = site_at(scan)
    outside = np.ones(scan.shape, bool)
    outside[site.box] = ~site.alterable()
    assert not large.mask[outside].any()
    change = np.abs(large.scan.voxels - scan.voxels)
    last = change[:, :, MIDDLE.column + 15]
    assert 0 < last[last > 0].mean() < NOISE_HU / 2


def test_same_seed_same_forgery(scan):
    first, again, other = (remove(scan, seed).record.sha256 for seed in (1, 1, 2))
    assert first == again != other


def test_a_single_slice_and_mr_work():
    flat = lung_scan(shape=(1, 96, 96), balls=[(0, 48, 40, 12.0)])
    forgery = remove(flat, place=Place(0, 48, 40))
    assert forgery.record.dimensions == 2
    assert forgery.scan.voxels[0, 48, 40] == pytest.approx(LUNG_HU, abs=60)
    tissue = remove(mr_scan(balls=[NODULE]))
    assert tissue.scan.voxels[MIDDLE.index] == pytest.approx(100, abs=40)


def test_a_scan_smaller_than_the_lesion_is_refused():
    tiny = lung_scan(shape=(3, 8, 8))
    with pytest.raises(ForgeError, match="smaller diameter"):
        remove(tiny, place=Place(1, 4, 4, 20.0))


def test_it_can_not_inject_and_has_no_weights(scan):
    with pytest.raises(ForgeError, match="nodule"):
        forge(scan, smooth.make(), "inject", MIDDLE)
    with pytest.raises(ForgeError, match="no weights"):
        smooth.make("folder")
