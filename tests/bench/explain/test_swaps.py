from __future__ import annotations

import numpy as np
import pytest

from tamperscan.bench.explain.swaps import CHANGES, random_phases, swaps

from .conftest import chest, noise, subject_of


@pytest.fixture
def found(predict):
    subjects = [subject_of(chest(seed), kind="healthy", group=str(seed)) for seed in range(2)]
    return {one.name: one for one in swaps(subjects, predict, levels_hu=(15.0,))}


def test_random_phases_keep_the_spectrum():
    values = noise(0)[:64, :64].astype(np.float32)
    changed = random_phases(values, np.random.default_rng(1))
    assert np.abs(np.fft.fft2(changed)) == pytest.approx(np.abs(np.fft.fft2(values)), rel=1e-2, abs=0.5)
    assert abs(np.corrcoef(values.ravel(), changed.ravel())[0, 1]) < 0.2


def test_half_the_noise_has_a_quarter_of_the_power(found):
    assert found["half as strong"].power.value == pytest.approx(0.25)
    assert found["half as strong"].times[0].value == pytest.approx(0.25, rel=0.1)


def test_white_noise_has_more_for_a_high_pass_to_see(found):
    white = found["white noise as strong"]
    assert white.power.value == pytest.approx(1.0, rel=0.2)
    assert white.times[0].low > 1.2


def test_the_spectrum_is_all_that_a_linear_filter_sees(found):
    assert found["same spectrum, random phases"].times[0].value == pytest.approx(1.0, rel=0.2)


def test_smooth_places_have_none_left(found):
    assert found["none left"].times[0].value < 0.1


def test_every_change_is_told(found):
    assert list(found) == list(CHANGES)
    assert found["none left"].places == found["none left"].patients == 2


def test_no_places_no_swaps(predict):
    assert swaps([], predict) == ()
