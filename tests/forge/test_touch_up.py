import numpy as np
import pytest
from scipy import ndimage

from tamperscan.errors import ForgeError
from tamperscan.forge.cube import blend_weight, resample_cube
from tamperscan.forge.grain import noise_level
from tamperscan.forge.site import Place, cut_site
from tamperscan.forge.touch_up import TOUCH_UPS, high_pass, parenchyma, touch_up
from tamperscan.scan.volume import Scan


def lung(shape=(24, 120, 120), noise=25.0):
    rng = np.random.default_rng(0)
    return (-860 + noise * rng.standard_normal(shape)).astype(np.float32)


def site_in(voxels):
    return cut_site(Scan(voxels, (1.5, 0.8, 0.8), "CT", "lung"), Place(voxels.shape[0] // 2, 50, 50))


def altered_at(site):
    """The site with a core that is far too smooth, and its weight."""
    weight = resample_cube(site, blend_weight(8.0)).clip(0, 1)
    weight[weight < 1e-3] = 0
    smooth = ndimage.gaussian_filter(site.voxels, 3.0)
    return site.voxels + weight * (smooth - site.voxels), weight


@pytest.mark.parametrize("kind", TOUCH_UPS)
def test_the_place_becomes_as_noisy_as_its_surroundings(kind):
    site = site_in(lung())
    altered, weight = altered_at(site)
    touched = touch_up(site, altered, weight, kind, np.random.default_rng(1))
    here, there = weight > 0.99, weight == 0
    assert noise_level(altered, here) < 0.3 * noise_level(site.voxels, there)
    assert noise_level(touched, here) == pytest.approx(noise_level(site.voxels, there), rel=0.15)


@pytest.mark.parametrize("kind", TOUCH_UPS)
def test_nothing_changes_where_nothing_was_altered(kind):
    site = site_in(lung())
    altered, weight = altered_at(site)
    touched = touch_up(site, altered, weight, kind, np.random.default_rng(1))
    assert np.array_equal(touched[weight == 0], altered[weight == 0])


def test_a_place_that_is_noisy_enough_stays_as_it_is():
    site = site_in(lung())
    _, weight = altered_at(site)
    noisier = site.voxels + weight * lung(site.voxels.shape, 60.0) + 860 * weight
    assert np.array_equal(touch_up(site, noisier, weight, "copied", np.random.default_rng(1)), noisier)


@pytest.mark.parametrize("kind", TOUCH_UPS)
def test_the_same_seed_gives_the_same_noise(kind):
    site = site_in(lung())
    altered, weight = altered_at(site)
    first, again, other = (touch_up(site, altered, weight, kind, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_copied_noise_is_noise_of_the_scan():
    voxels = lung()
    site = site_in(voxels)
    altered, weight = altered_at(site)
    added = touch_up(site, altered, weight, "copied", np.random.default_rng(1)) - altered
    middle = site.centre
    here = added[middle[0], middle[1] - 4 : middle[1] + 5, middle[2] - 4 : middle[2] + 5]
    residual = high_pass(voxels)
    windows = np.lib.stride_tricks.sliding_window_view(residual, (1, 9, 9))[:, :, :, 0].reshape(-1, 81)
    likeness = (windows @ here.ravel()) / np.linalg.norm(windows, axis=1) / np.linalg.norm(here)
    assert likeness.max() > 0.99


def test_a_scan_without_healthy_lung_has_no_noise_to_copy():
    voxels = np.full((24, 120, 120), 40.0, dtype=np.float32) + 10 * lung(noise=1.0) / 860
    voxels[:, 35:66, 35:66] = lung((24, 31, 31))
    site = site_in(voxels)
    altered, weight = altered_at(site)
    with pytest.raises(ForgeError, match="too little healthy lung to copy noise from"):
        touch_up(site, altered, weight, "copied", np.random.default_rng(1))
    assert touch_up(site, altered, weight, "interpolated", np.random.default_rng(1)).shape == altered.shape


def test_parenchyma_leaves_vessels_out():
    voxels = lung(noise=5.0)
    voxels[:, 58:64] = 30.0
    assert not parenchyma(voxels)[:, 56:66].any()
    assert parenchyma(voxels)[:, :50].all()
