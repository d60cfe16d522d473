from __future__ import annotations

import numpy as np
import pytest

from tamperscan.forge.grain import noise_level, soft_tissue_noise, texture, without_grain

from .tissue import NOISE_HU, WALL_FROM, grain, lung_scan


def test_the_noise_is_measured_beside_vessels():
    scan = lung_scan(balls=[(10, 48, 40, 12.0)])
    quiet = noise_level(grain(scan.shape).astype(np.float32))
    assert noise_level(scan.voxels[:, 10:-10, 10:]) == pytest.approx(quiet, rel=0.15)
    assert quiet == pytest.approx(NOISE_HU, rel=0.2)


def test_the_noise_of_soft_tissue_is_told_from_that_of_lung():
    voxels = lung_scan().voxels.copy()
    voxels[:, :, : WALL_FROM - 8] += 2 * grain(voxels[:, :, : WALL_FROM - 8].shape, seed=5)
    assert soft_tissue_noise(voxels) == pytest.approx(NOISE_HU, rel=0.25)
    assert soft_tissue_noise(voxels[:, 10:-10, 10:60].astype(np.float32)) is None


def test_grain_is_taken_off_and_borders_stay():
    scan = lung_scan()
    clean = without_grain(scan.voxels, NOISE_HU)
    flat = np.s_[:, 10:-10, 10:60]
    assert clean[flat].std() < 0.5 * scan.voxels[flat].std()
    assert np.abs(clean - scan.voxels).max() < 6 * NOISE_HU


def test_texture_has_the_correlation_that_was_asked_for():
    field = texture((4, 200, 200), (0.1, 6.0, 6.0), np.random.default_rng(0))
    assert field.std() == pytest.approx(1.0)
    at_length = np.mean(field[:, :-6] * field[:, 6:])
    assert at_length == pytest.approx(np.exp(-1), abs=0.06)
    assert abs(np.mean(field[1:] * field[:-1])) < 0.1
