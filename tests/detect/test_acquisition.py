from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.detect.acquisition import Acquisition, measure_acquisition
from tamperscan.scan import read_scan

from .phantom import chest, chest_scan, grain, scan_of


def of_noise(noise_hu=25.0, blur_px=0.7, slices=2):
    """A chest with noise of a strength and a grain."""
    rng = np.random.default_rng(1)
    images = [chest(index) for index in range(slices)]
    return scan_of(np.stack([each.clean + grain(rng, each.clean.shape, noise_hu, blur_px) for each in images]))


def changed(scan, change):
    return replace(scan, voxels=np.stack([change(image) for image in scan.voxels]).astype(np.float32))


@pytest.mark.parametrize("noise_hu", [8.0, 20.0, 50.0])
def test_strength_of_the_noise(noise_hu):
    found = measure_acquisition(of_noise(noise_hu))
    # What is coarser than two pixels is taken for anatomy.
    assert found.noise == pytest.approx(0.85 * noise_hu, rel=0.05)
    assert found.lung_noise > 0.85 * noise_hu  # with the fine vessels
    assert found.known


def test_grain_and_finest_tell_sharp_kernels_from_soft_ones():
    sharp, middle, soft = (measure_acquisition(of_noise(20.0, blur)) for blur in (0.0, 0.7, 1.2))
    assert sharp.grain == pytest.approx(0.0, abs=0.12)
    assert sharp.finest == pytest.approx(0.0, abs=0.12)
    assert sharp.grain < middle.grain < soft.grain
    assert sharp.finest > middle.finest > soft.finest + 0.5


def test_tails_tell_kept_edges_from_noise():
    plain = of_noise()
    # A median filter of the noise between edges that stay.
    kept = changed(plain, lambda image: np.where(np.abs(image - ndimage.median_filter(image, 5)) < 60, 30.0, image))
    assert measure_acquisition(plain).tails < 0.1
    assert not measure_acquisition(kept).tails <= 0.1


@pytest.mark.parametrize("factor", [0.5, 0.6, 0.8])
def test_resampling_leaves_its_period(factor):
    def resample(image):
        small = ndimage.zoom(image, factor, order=1)
        return ndimage.zoom(small, np.array(image.shape) / np.array(small.shape), order=1)

    before, after = measure_acquisition(of_noise()), measure_acquisition(changed(of_noise(), resample))
    assert before.repetition < 1.5
    assert after.repetition > 2.0


def test_step_between_values():
    assert measure_acquisition(changed(of_noise(), np.rint)).step == 1.0
    assert measure_acquisition(changed(of_noise(), lambda image: 8 * np.rint(image / 8))).step == 8.0


def test_overlapping_slices_share_noise():
    rng = np.random.default_rng(2)
    clean = chest(0).clean
    noise = [grain(rng, clean.shape, 20.0) for _ in range(4)]
    apart = scan_of(np.stack([clean + each for each in noise]))
    overlapping = scan_of(np.stack([clean + (one + other) / 2 for one, other in pairwise(noise)]))
    assert measure_acquisition(apart).slice_correlation == pytest.approx(0.0, abs=0.1)
    assert measure_acquisition(overlapping).slice_correlation == pytest.approx(0.5, abs=0.1)
    assert measure_acquisition(scan_of(apart.voxels[[0, 0, 0]])).slice_correlation == pytest.approx(1.0)
    assert math.isnan(measure_acquisition(scan_of(apart.voxels[:1])).slice_correlation)


@pytest.mark.parametrize("fill", [-1024.0, 0.0, 40.0])
def test_nothing_is_known_without_lung(fill):
    found = measure_acquisition(scan_of(np.full((2, 100, 90), fill)))
    assert not found.known
    assert math.isnan(found.grain)
    assert (found.pixel_mm, found.slice_mm) == pytest.approx((1.2, 5.0))


def test_noise_of_mr_is_a_part_of_its_range():
    rng = np.random.default_rng(3)
    body = 400.0 * (ndimage.gaussian_filter(rng.normal(size=(2, 160, 160)), (0, 30, 30)) > -10)
    body[:, :30] = 0
    found = [
        measure_acquisition(scan_of(scale * (body + rng.normal(0, 12, body.shape)), modality="MR"))
        for scale in (1.0, 7.0)
    ]
    assert found[0].noise == pytest.approx(0.03, rel=0.2)
    assert found[1].noise == pytest.approx(found[0].noise, rel=0.1)
    assert math.isnan(found[0].lung_noise)


def test_long_series_takes_no_longer_than_a_short_one():
    one = chest_scan(0, 1).voxels[:, ::2, ::2]
    long = scan_of(np.broadcast_to(one, (2000, *one.shape[1:])), spacing_mm=(0.5, 2.4, 2.4), sha256="")
    begun = time.process_time()
    measure_acquisition(long)
    assert time.process_time() - begun < 10


def test_dictionary_and_back():
    found = measure_acquisition(of_noise(slices=1))
    again = Acquisition.from_dict(json.loads(json.dumps(found.as_dict())))
    assert again.as_dict() == found.as_dict()
    assert math.isnan(again.slice_correlation)


def test_kernels_of_a_real_scanner(real_scans):
    """Two reconstructions of one acquisition: B is a soft kernel, L a sharp one for the lung."""
    folders = [real_scans / "ct" / "series" / f"Lung_Dx-A0001_{kernel}" for kernel in "BL"]
    soft, sharp = (measure_acquisition(read_scan(sorted(folder.iterdir())[30])) for folder in folders)
    assert soft.grain > sharp.grain + 0.3
    assert soft.finest < sharp.finest - 0.4
    assert sharp.noise > 3 * soft.noise
    assert soft.repetition < 1.3
    assert soft.step == sharp.step == 1.0
