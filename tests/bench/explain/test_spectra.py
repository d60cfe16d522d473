from __future__ import annotations

import numpy as np
import pytest

from tamperscan.bench.explain.spectra import FREQUENCIES, RESIDUAL, low_pass, residual, spectra, spectrum

from .conftest import PIXEL, SIDE, chest, noise, subject_of

EVERYWHERE = np.ones((SIDE, SIDE), bool)


def mean_spectrum(values):
    places = [(row, column) for row in range(40, 200, 20) for column in range(40, 200, 20)]
    return np.mean([spectrum(values, EVERYWHERE, place, PIXEL) for place in places], axis=0)


def test_white_noise_is_flat():
    white = 10 * np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    powers = mean_spectrum(white)
    known = powers[np.isfinite(powers)]
    assert known == pytest.approx(np.full(len(known), 100.0), rel=0.15)  # variance times the area of a pixel


def test_smoothed_noise_falls():
    powers = mean_spectrum(noise(0, blur=1.5).astype(np.float32))
    known = powers[np.isfinite(powers)]
    assert (np.diff(np.log(known)) < 0).all()
    assert known[0] > 20 * known[-1]


def test_nothing_is_told_beyond_the_limit_of_the_pixels():
    powers = spectrum(noise(0).astype(np.float32), EVERYWHERE, (100, 100), PIXEL)
    known = np.isfinite(powers)
    assert known[np.array(FREQUENCIES) < 0.5].all()
    assert not known[np.array(FREQUENCIES) > 0.5].any()


def test_squares_that_do_not_fit_have_no_spectrum():
    values = noise(0).astype(np.float32)
    assert spectrum(values, EVERYWHERE, (3, 100), PIXEL) is None
    assert spectrum(values, ~EVERYWHERE, (100, 100), PIXEL) is None


def test_the_low_pass_leaves_no_halo_of_other_tissue():
    hu = np.full((60, 60), -850.0, np.float32)
    hu[:, 30:] = 50.0
    averaged = low_pass(hu, hu < -500, PIXEL)
    assert averaged[:, 28] == pytest.approx(np.full(60, -850.0), abs=0.1)
    assert np.abs(residual(hu, hu < -500, PIXEL)).max() < 0.1


def test_whiter_noise_shows_in_the_high_bands(predict):
    subjects = [subject_of(chest(seed, noise(99 + seed, blur=0.0)), group=str(seed)) for seed in range(3)]
    fine, *predicted = spectra(subjects, predict, (15.0,))
    assert (fine.what, fine.places, fine.scans) == (RESIDUAL, 3, 3)
    by_band = dict(zip(fine.frequencies, fine.times, strict=True))
    assert by_band[0.475].low > 1.5
    assert by_band[0.125].high < 1.0
    assert fine.total.value == pytest.approx(1.0, rel=0.15)
    assert len(predicted) == 1


def test_the_same_noise_shows_nothing(predict):
    subjects = [subject_of(chest(seed), group=str(seed)) for seed in range(4)]
    fine = spectra(subjects, predict, (15.0,))[0]
    measured = [one.value for one, count in zip(fine.times, fine.counts, strict=True) if count]
    assert measured == pytest.approx(np.ones(len(measured)), rel=0.35)


def test_no_places_no_spectra(predict):
    assert spectra([], predict, (15.0,)) == ()
