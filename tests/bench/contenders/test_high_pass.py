import numpy as np
import pytest

from tamperscan.bench.contenders.high_pass import HighPass

from .small import SPACING_MM, noise, planted


def test_energy_grows_with_the_square_of_the_noise():
    image = noise((96, 96), 1, 10.0)
    once, thrice = (HighPass().energy(factor * image, SPACING_MM).mean() for factor in (1, 3))
    assert thrice == pytest.approx(9 * once, rel=1e-3)


def test_what_is_smooth_is_taken_away():
    rows, columns = np.mgrid[:96, :96].astype(np.float32)
    assert HighPass().energy(5 * rows - 3 * columns, SPACING_MM)[20:-20, 20:-20].max() < 1e-3


def test_a_large_offset_costs_no_precision():
    image = noise((64, 64), 1, 1.0)
    near, far = (HighPass().energy(image + offset, SPACING_MM) for offset in (0, 30_000))
    assert np.allclose(near, far, rtol=0.05)


def test_a_quiet_patch_is_in_its_place():
    image, box = planted(noise((96, 96), 1, 40.0), noise_hu=5.0)
    energy = HighPass().energy(image, SPACING_MM)
    assert energy[box][12:-12, 12:-12].max() < 0.1 * energy[75:, 75:].min()
