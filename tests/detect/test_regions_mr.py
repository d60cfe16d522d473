from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect.regions_mr import AirSignal, body_mask, find_air, mr_tissues
from tamperscan.scan.windows import signal_window

from .phantom_mr import BRIGHT, SIGMA, SPACING, TISSUE, body_radius, mr_scan

PIXELS = SPACING[1:]


@pytest.fixture(scope="module")
def scan():
    return mr_scan()


@pytest.fixture(scope="module")
def air(scan):
    return find_air(scan.voxels, signal_window(scan.voxels))


def test_noise_is_read_in_the_air_by_rayleighs_law():
    rng = np.random.default_rng(0)
    signal = np.zeros((3, 128, 128))
    signal[:, 40:90, 40:90] = 500.0
    noisy = np.abs(signal + rng.normal(0, 20, signal.shape) + 1j * rng.normal(0, 20, signal.shape)).astype(np.float32)
    found = find_air(noisy, signal_window(noisy))
    assert found.sigma == pytest.approx(20.0, rel=0.1)
    assert found.mean == pytest.approx(20.0 * np.sqrt(np.pi / 2), rel=0.1)


def test_body_is_found_with_air_left_out(scan, air):
    radius = body_radius()
    body = body_mask(scan.voxels[0], air, PIXELS)
    assert body[radius < 0.95].mean() > 0.99
    assert not body[radius > 1.1].any()


def test_what_is_found_does_not_depend_on_the_gain(scan, air):
    louder = scan.voxels * np.float32(37.0)
    found = find_air(louder, signal_window(louder))
    assert np.array_equal(body_mask(louder[0], found, PIXELS), body_mask(scan.voxels[0], air, PIXELS))
    assert found.sigma == pytest.approx(37.0 * air.sigma, rel=0.01)


@pytest.mark.parametrize("voxels", [np.zeros((2, 64, 64)), np.full((1, 64, 64), 7.0)])
def test_nothing_is_found_in_nothing(voxels):
    voxels = voxels.astype(np.float32)
    found = find_air(voxels, signal_window(voxels))
    assert found.sigma == 0.0
    assert not body_mask(voxels[0], found, PIXELS).any() or voxels.max() > 0


def test_air_alone_is_no_body():
    rng = np.random.default_rng(1)
    noise = np.abs(rng.normal(0, 20, (2, 128, 128)) + 1j * rng.normal(0, 20, (2, 128, 128))).astype(np.float32)
    assert not body_mask(noise[0], find_air(noise, signal_window(noise)), PIXELS).any()


def test_tissues_do_not_overlap_and_fill_what_can_be_measured(scan, air):
    body = body_mask(scan.voxels[0], air, PIXELS)
    classes = mr_tissues(scan.voxels[0], body, air)
    count = sum(mask.astype(int) for mask in (classes.parenchyma, classes.soft, classes.between))
    assert count.max() == 1
    assert count[body_radius() < 0.9].mean() > 0.95
    assert not count[~body].any()


def test_even_tissue_is_the_ordinary_and_bright_tissue_the_bright(scan, air):
    image = scan.voxels[0]
    classes = mr_tissues(image, body_mask(image, air, PIXELS), air)
    assert np.median(image[classes.parenchyma]) == pytest.approx(TISSUE, rel=0.15)
    assert np.median(image[classes.soft]) > 0.8 * BRIGHT


def test_too_little_signal_is_no_tissue():
    rng = np.random.default_rng(2)
    air = AirSignal(mean=1.25 * SIGMA, deviation=0.655 * SIGMA, top=300.0)
    image = (2.0 * SIGMA + rng.normal(0, 1, (96, 96))).astype(np.float32)
    classes = mr_tissues(image, np.ones(image.shape, bool), air)
    assert not (classes.parenchyma | classes.soft | classes.between).any()
