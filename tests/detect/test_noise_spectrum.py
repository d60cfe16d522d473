"""The spectrum tells filters apart by the frequencies that they pass."""

import numpy as np
from scipy import ndimage

from tamperscan.detect.noise_spectrum import FEATURES, noise_spectrum
from tamperscan.detect.processing_limits import line_features, read_limits

NOISE = np.random.default_rng(0).normal(40, 20, (384, 384)).astype(np.float32)


def test_white_noise_is_flat():
    spectrum = noise_spectrum(NOISE)
    assert spectrum.shape == (FEATURES,)
    assert np.ptp(spectrum[2:-1]) < 0.3
    assert abs(spectrum[-1]) < 0.1


def test_a_blur_falls_off():
    spectrum = noise_spectrum(ndimage.gaussian_filter(NOISE, 1.0))
    assert spectrum[2] - spectrum[8] > 1.0


def test_a_filter_along_one_axis_is_anisotropic():
    axial = noise_spectrum(ndimage.uniform_filter(NOISE, 2))
    assert abs(axial[-1]) > 0.2


def test_too_little_tissue():
    assert noise_spectrum(np.full((384, 384), -1024.0, np.float32)) is None


def test_the_packaged_line_reads_these_features():
    line = read_limits().smoothed
    features = line_features(noise_spectrum(NOISE), 0.4)
    assert features.shape == line.middle.shape == line.width.shape == line.weights.shape
    smooth = line_features(noise_spectrum(ndimage.gaussian_filter(NOISE, 1.0)), 0.4)
    assert line.log_odds(smooth) > line.log_odds(features)
