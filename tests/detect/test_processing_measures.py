"""Each trace is measured by its own kind of processing, and by no other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, ndimage

from tamperscan.detect.processing_measures import NOTHING, grid_measures, middle

RNG = np.random.default_rng(3)
TISSUE = (ndimage.gaussian_filter(RNG.normal(0, 1, (384, 384)), 0.6) * 40 + 40).astype(np.float32)
UNTOUCHED = grid_measures(np.rint(TISSUE))


def blocky(image):
    blocks = image.reshape(48, 8, 48, 8).swapaxes(1, 2)
    coefficients = np.rint(fft.dctn(blocks, axes=(2, 3), norm="ortho") / 60.0) * 60.0
    return fft.idctn(coefficients, axes=(2, 3), norm="ortho").swapaxes(1, 2).reshape(384, 384)


def half_pixel(image):
    """Linear interpolation at every fifth row's distance: its variance has a period of five rows."""
    rows = np.arange(384) + 0.5 * (np.arange(384) % 5 == 0)
    return ndimage.map_coordinates(image, np.meshgrid(rows, np.arange(384), indexing="ij"), order=1, mode="nearest")


def measured(image):
    return grid_measures(np.rint(image).astype(np.float32))


def test_the_middle_keeps_the_grid_of_blocks():
    marked = np.zeros((512, 515), np.float32)
    marked[::8, ::8] = 1.0
    part = middle(marked)
    assert part.shape == (384, 384)
    assert part[::8, ::8].all()
    assert middle(np.zeros((100, 60), np.float32)).shape == (96, 56)


def test_untouched_noise():
    assert abs(UNTOUCHED.blocks) < 0.03
    assert abs(UNTOUCHED.wavelet) < 0.05
    assert UNTOUCHED.comb < 0.1
    assert UNTOUCHED.repetition < 1.5


def test_blocks():
    assert measured(blocky(TISSUE)).blocks > 0.2


@pytest.mark.parametrize("step", [3, 5])
def test_comb(step):
    found = measured(np.rint(TISSUE / step) * step)
    assert found.comb > 0.9
    # A comb has overtones; any of them tells the step.
    assert step / found.step_hu == pytest.approx(round(step / found.step_hu), abs=0.05)


def test_repetition():
    found = measured(half_pixel(TISSUE))
    assert found.repetition > UNTOUCHED.repetition + 0.5
    assert 5.0 / found.period_px == pytest.approx(round(5.0 / found.period_px), abs=0.1)


def test_unevenness():
    cleaned = TISSUE.copy()
    cleaned[:, :300] = ndimage.gaussian_filter(TISSUE, 2.0)[:, :300]
    assert measured(cleaned).unevenness > UNTOUCHED.unevenness + 0.2


def test_air_alone():
    assert grid_measures(np.full((384, 384), -1024.0, np.float32)) == NOTHING
