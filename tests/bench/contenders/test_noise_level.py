import numpy as np
import pytest

from tamperscan.bench.contenders.noise_level import NoiseLevel

from .small import SPACING_MM, noise, planted


@pytest.mark.parametrize("noise_hu", [10.0, 40.0])
def test_the_energy_is_the_standard_deviation(noise_hu):
    energy = NoiseLevel().energy(noise((128, 128), 1, noise_hu), SPACING_MM)
    assert energy.mean() == pytest.approx(noise_hu, rel=0.05)


def test_slopes_are_no_noise():
    rows, columns = np.mgrid[:64, :64].astype(np.float32)
    assert np.allclose(NoiseLevel().energy(5 * rows - 3 * columns, SPACING_MM), 0, atol=1e-3)


def test_a_lone_vessel_is_no_noise():
    image = noise((96, 96), 1, 20.0)
    with_vessel = image.copy()
    with_vessel[40:44, :] += 800
    energy = NoiseLevel().energy(with_vessel, SPACING_MM)
    assert energy[30:54].mean() < 1.5 * NoiseLevel().energy(image, SPACING_MM).mean()


def test_a_quiet_patch_is_in_its_place():
    image, box = planted(noise((96, 96), 1, 40.0), noise_hu=5.0)
    energy = NoiseLevel().energy(image, SPACING_MM)
    assert energy[box][12:-12, 12:-12].max() < 15
    assert energy[72:, 72:].min() > 25
