from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tamperscan.scan.windows import LUNG_DISPLAY, PUBLISHED_CT, IntensityWindow, signal_window


def test_ends_map_to_one():
    assert PUBLISHED_CT.to_model([-700, 650, 2000]).tolist() == [-1, 0, 1]
    assert PUBLISHED_CT.to_unit([-700, 650, 2000]).tolist() == [0, 0.5, 1]


def test_outside_is_clipped():
    assert PUBLISHED_CT.to_model([-5000, 5000]).tolist() == [-1, 1]
    assert PUBLISHED_CT.to_unit([-5000, 5000]).tolist() == [0, 1]


@given(st.floats(-700, 2000, width=32))
def test_there_and_back(value):
    assert PUBLISHED_CT.from_model(PUBLISHED_CT.to_model(value)) == pytest.approx(value, abs=1e-3)
    assert PUBLISHED_CT.from_unit(PUBLISHED_CT.to_unit(value)) == pytest.approx(value, abs=1e-3)


def test_result_is_float32_whatever_comes_in():
    for kind in (np.int16, np.float64, np.float32):
        assert PUBLISHED_CT.to_model(np.zeros((2, 3), kind)).dtype == np.float32


def test_level_and_width():
    assert (LUNG_DISPLAY.level, LUNG_DISPLAY.width) == (-600, 1500)
    assert PUBLISHED_CT.units_per_model_unit == 1350


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (float("nan"), 1), (0, float("inf"))])
def test_impossible_windows(low, high):
    with pytest.raises(ValueError, match="window"):
        IntensityWindow(low, high)


def test_signal_has_a_window_of_its_own_whatever_its_unit():
    signal = np.random.default_rng(0).uniform(0, 300, (4, 32, 32))
    own, louder = signal_window(signal), signal_window(signal * 1e-3)
    assert (own.low, own.high) == (0.0, pytest.approx(300, rel=0.01))
    assert np.allclose(own.to_model(signal), louder.to_model(signal * 1e-3), atol=1e-5)


def test_a_few_very_bright_voxels_do_not_stretch_it():
    signal = np.full(100_000, 50.0)
    signal[:50] = 1e6
    assert signal_window(signal).high == 50.0


def test_nothing_has_a_window_too():
    assert signal_window(np.zeros((2, 2))).high == 1.0
    assert signal_window(np.full((2, 2), -3.0)).high == 1.0
