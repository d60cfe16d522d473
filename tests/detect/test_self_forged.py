"""From log-odds of pixels to suspicion of places."""

from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect.self_forged import place_odds, suspicion_of_odds

SPACING = (0.7, 0.7)


def odds_with_place(height=6.0, size=24):
    odds = np.full((2, 160, 160), -3.0, dtype=np.float32)
    odds[:, 60 : 60 + size, 90 : 90 + size] = height
    return odds


def region():
    inside = np.zeros((160, 160), dtype=bool)
    inside[16:144, 16:144] = True
    return inside


def test_the_altered_place_stands_out():
    places = place_odds(odds_with_place(), region(), SPACING)
    odds, suspicion = suspicion_of_odds(places)
    row, column = np.unravel_index(np.nanargmax(suspicion), suspicion.shape)
    assert (4 * row + 2, 4 * column + 2) == (pytest.approx(72, abs=4), pytest.approx(102, abs=4))
    assert np.nanmedian(odds) == pytest.approx(-3.0, abs=0.01)
    assert np.nanmax(odds) > 3.0
    assert np.nanmin(suspicion) >= 0.0


def test_outside_the_region_nothing_counts():
    odds = odds_with_place()
    odds[:, :10] = 50.0
    places = place_odds(odds, region(), SPACING)
    assert np.isnan(places[:, 0, 0]).all()
    np.testing.assert_allclose(places, place_odds(odds_with_place(), region(), SPACING), atol=1e-5)


def test_a_single_sure_pixel_is_no_place():
    odds = odds_with_place(size=1, height=1000.0)
    assert np.nanmax(suspicion_of_odds(place_odds(odds, region(), SPACING))[0]) < -2.0


def test_members_can_be_chosen():
    odds = odds_with_place()
    odds[1] = -3.0
    places = place_odds(odds, region(), SPACING)
    assert np.nanmax(suspicion_of_odds(places, (0,))[0]) > 3.0
    assert np.nanmax(suspicion_of_odds(places, (1,))[0]) == pytest.approx(-3.0, abs=1e-4)


def test_a_slice_without_any_place_has_no_suspicion():
    places = place_odds(odds_with_place(), np.zeros((160, 160), dtype=bool), SPACING)
    assert np.isnan(suspicion_of_odds(places)[1]).all()
