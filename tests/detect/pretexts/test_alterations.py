"""The alterations of texture: each changes the noise, keeps the anatomy, and depends on its generator alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.pretexts import ALTERATIONS, Material

SIDE = 96


def fake_denoise(image: NDArray[np.float32], level_hu: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(image, 0.05 * level_hu), np.float32)


@pytest.fixture
def material() -> Material:
    rng = np.random.default_rng(3)
    step = np.where(np.arange(SIDE) < SIDE // 2, -850.0, 40.0)
    crop = (step[None] + rng.normal(0.0, 25.0, (SIDE, SIDE))).astype(np.float32)
    other = (-850.0 + rng.normal(0.0, 60.0, (SIDE, SIDE))).astype(np.float32)
    return Material(crop, other, fake_denoise)


@pytest.mark.parametrize("name", ALTERATIONS)
def test_the_noise_is_another(name: str, material: Material) -> None:
    altered = ALTERATIONS[name](np.random.default_rng(1), material)

    assert altered.dtype == np.float32
    assert altered.shape == material.crop.shape
    assert np.isfinite(altered).all()
    assert np.abs(altered - material.crop).mean() > 2.0


@pytest.mark.parametrize("name", [name for name in ALTERATIONS if name != "copy_texture"])
def test_the_anatomy_stays(name: str, material: Material) -> None:
    altered = ALTERATIONS[name](np.random.default_rng(2), material)

    left, right = altered[10:-10, 10:35].mean(), altered[10:-10, -35:-10].mean()
    assert left == pytest.approx(-850.0, abs=25.0)
    assert right == pytest.approx(40.0, abs=25.0)


@pytest.mark.parametrize("name", ALTERATIONS)
def test_the_same_generator_makes_the_same(name: str, material: Material) -> None:
    one, other = (ALTERATIONS[name](np.random.default_rng(7), material) for _ in range(2))

    np.testing.assert_array_equal(one, other)


def test_the_material_is_left_alone(material: Material) -> None:
    before = material.crop.copy()

    for alteration in ALTERATIONS.values():
        alteration(np.random.default_rng(0), material)

    np.testing.assert_array_equal(material.crop, before)


def test_no_alteration_is_a_method_that_detectors_are_measured_with() -> None:
    from tamperscan.forge.method import METHODS

    assert not set(ALTERATIONS) & set(METHODS)
