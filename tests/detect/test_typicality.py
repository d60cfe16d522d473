from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tamperscan.detect.centring import FEATURES, TERMS
from tamperscan.detect.typicality import DOWN_WEIGHT, Typicality, evidence, fit_typicality
from tamperscan.errors import TrainingError

from .phantom import made_up_windows

CELL_MM = (3.0, 3.0)
LUNG, BETWEEN, SOFT = range(3)
WHITE_LUNG = FEATURES.index(("whiteness", "parenchyma"))
PLACE = (24, 12)  # the middle of one lung
quick = settings(max_examples=15, deadline=None)


@pytest.fixture(scope="module")
def typical():
    """Learned from five patients of three slices."""
    return fit_typicality([[made_up_windows(10 * patient + index) for index in range(3)] for patient in range(5)])


def with_energy(statistics, energy):
    return replace(statistics, energy=np.asarray(energy, np.float32))


def with_whiteness(statistics, whiteness):
    return replace(statistics, whiteness=np.asarray(whiteness, np.float32))


def disc(radius=4.0, place=PLACE, side=48):
    rows, columns = np.indices((side, side))
    return np.hypot(rows - place[0], columns - place[1]) <= radius


def planted(change, seed=90, radius=4.0):
    made = made_up_windows(seed)
    return with_energy(made, made.energy + change * disc(radius))


def peak(suspicion):
    return np.unravel_index(np.nanargmax(suspicion), suspicion.shape)


def distance_to_place(suspicion):
    return float(np.hypot(*(np.array(peak(suspicion)) - PLACE)))


def unit():
    """A typicality that knows nothing of anatomy, with a spread of one."""
    nothing = np.zeros((len(FEATURES), TERMS))
    return Typicality(nothing, nothing, np.tile([-1.0, 1.0], (len(FEATURES), 1)))


def test_authentic_windows_have_z_scores_of_one(typical):
    z = evidence(made_up_windows(90), typical, CELL_MM).z
    inside = made_up_windows(90).inside
    assert np.nanstd(z) == pytest.approx(1, abs=0.1)
    assert np.abs(np.nanmedian(z, axis=(1, 2))).max() < 0.1
    assert np.isnan(z[:, ~inside]).all()


def test_doubled_noise_is_the_most_suspicious_place(typical):
    found = evidence(planted(np.log(4)), typical, CELL_MM)
    assert distance_to_place(found.suspicion) <= 4
    assert (found.z[:3, *PLACE] > 5).all()
    untouched = evidence(planted(0.0), typical, CELL_MM)
    assert np.nanmax(found.suspicion) > 3 * np.nanmax(untouched.suspicion)


def test_halved_noise_is_suspicious_with_the_other_sign(typical):
    found = evidence(planted(-np.log(4)), typical, CELL_MM)
    assert distance_to_place(found.suspicion) <= 4
    assert (found.z[:3, *PLACE] < -5).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_other_grain_of_the_noise_is_suspicious(typical, sign):
    made = made_up_windows(90)
    found = evidence(with_whiteness(made, made.whiteness + sign * disc()), typical, CELL_MM)
    assert distance_to_place(found.suspicion) <= 4
    assert sign * found.z[WHITE_LUNG, *PLACE] > 5
    assert np.abs(found.z[LUNG, *PLACE]) < 4


def test_halved_noise_weighs_less():
    up, down = (evidence(planted(sign * 20, radius=5), unit(), CELL_MM).suspicion[PLACE] for sign in (1, -1))
    assert down == pytest.approx(DOWN_WEIGHT * up, rel=0.02)


def test_evidence_is_the_root_of_the_sum_of_squares_over_tissues():
    made = made_up_windows(spread=0.0)
    change = np.array([3.0, 4.0, 12.0])[:, None, None] * (disc(10) & made.inside)
    found = evidence(with_energy(made, made.energy + change), unit(), CELL_MM)
    flat = np.sqrt((found.centred.astype(float)[:, *PLACE] ** 2).sum())
    assert found.suspicion[PLACE] == pytest.approx(flat, rel=0.05)
    assert found.centred[BETWEEN : SOFT + 1, *PLACE] == pytest.approx([4, 12])


def test_median_is_taken_off():
    made = made_up_windows(4)
    centred = evidence(made, unit(), CELL_MM).centred
    assert np.nanmedian(centred[BETWEEN]) == pytest.approx(0, abs=1e-6)
    assert np.allclose(centred[SOFT], made.energy[SOFT] - np.nanmedian(made.energy[SOFT]), atol=1e-6, equal_nan=True)


@quick
@given(st.integers(0, 50), st.floats(-5, 5))
def test_strength_of_a_whole_slice_changes_nothing(seed, log_factor):
    made = planted(1.0, seed)
    louder = with_energy(made, made.energy + log_factor)
    one, other = (evidence(each, unit(), CELL_MM) for each in (made, louder))
    assert np.allclose(one.z, other.z, atol=2e-3, equal_nan=True)
    assert np.allclose(one.suspicion, other.suspicion, atol=2e-3, equal_nan=True)


@quick
@given(st.integers(0, 50), st.sampled_from(range(3)))
def test_missing_tissue_counts_nothing(seed, tissue):
    missing, at_the_median = (made_up_windows(seed).energy for _ in range(2))
    missing[tissue] = np.nan
    at_the_median[tissue] = 0.0
    made = made_up_windows(seed)
    one, other = (evidence(with_energy(made, each), unit(), CELL_MM) for each in (missing, at_the_median))
    assert np.allclose(one.suspicion, other.suspicion, atol=1e-5, equal_nan=True)
    assert np.isfinite(one.suspicion[made.inside]).all()


def test_window_without_any_tissue_has_no_evidence(typical):
    made = made_up_windows()
    energy, whiteness = made.energy.copy(), made.whiteness.copy()
    energy[:, *PLACE] = whiteness[:, *PLACE] = np.nan
    found = evidence(with_whiteness(with_energy(made, energy), whiteness), typical, CELL_MM)
    assert np.isnan(found.suspicion[PLACE])
    assert np.isfinite(found.suspicion[PLACE[0] + 1, PLACE[1]])


def test_tissue_of_a_few_windows_has_nothing_to_be_compared_with():
    made = made_up_windows()
    energy = made.energy.copy()
    known = np.argwhere(made.inside)[:7]
    energy[SOFT] = np.nan
    energy[SOFT][tuple(known.T)] = 30.0 * np.arange(7)
    found = evidence(with_energy(made, energy), unit(), CELL_MM)
    assert np.isnan(found.z[SOFT]).all()
    assert np.nanmax(found.suspicion) < 1


def test_trend_over_position_is_taken_off_the_parenchyma():
    made = made_up_windows(5)
    slope = 4 * made.covariates[4]
    found = evidence(with_energy(made, made.energy + slope), unit(), CELL_MM)
    before = np.nanstd(slope[made.inside])
    assert np.nanstd(found.centred[LUNG]) < 0.25 * before
    assert np.nanstd(found.centred[SOFT]) > 0.9 * before


@pytest.mark.parametrize("sign", [1, -1])
def test_bump_stays_when_the_trend_is_taken_off(sign):
    made = made_up_windows(5)
    bumped = with_energy(made, made.energy + 4 * made.covariates[4] + sign * disc())
    found = evidence(bumped, unit(), CELL_MM).centred[LUNG]
    untouched = evidence(with_energy(made, made.energy + 4 * made.covariates[4]), unit(), CELL_MM).centred[LUNG]
    assert np.mean((found - untouched)[disc(3)]) == pytest.approx(sign, abs=0.2)


def test_what_depends_on_anatomy_in_all_scans_is_typical():
    def denser_is_noisier(seed):
        made = made_up_windows(seed)
        made.covariates[2] -= np.median(made.covariates[2][made.inside])
        return with_energy(made, made.energy + 3 * made.covariates[2])

    learned = fit_typicality([[denser_is_noisier(10 * patient + index) for index in range(3)] for patient in range(5)])
    z = evidence(denser_is_noisier(90), learned, CELL_MM).z
    assert np.nanstd(z[SOFT]) == pytest.approx(1, abs=0.15)
    assert learned.coefficients[SOFT, 1 + 2] == pytest.approx(3, abs=0.05)


def test_patients_of_long_series_do_not_drown_the_others():
    short = [[made_up_windows(index, spread=0.3)] for index in range(4)]
    long = [[made_up_windows(100 + index, spread=0.1) for index in range(64)]]
    by_window = np.sqrt((4 * 0.3**2 + 64 * 0.1**2) / 68)
    by_root = np.sqrt((4 * 1 * 0.3**2 + 8 * 0.1**2) / 12)
    spread = np.exp(fit_typicality([*short, *long]).spread[SOFT, 0])
    assert spread == pytest.approx(by_root, rel=0.08)
    assert spread > 1.2 * by_window


def test_place_that_varies_more_in_all_scans_counts_less():
    def uneven(seed):
        made = made_up_windows(seed)
        return with_energy(made, made.energy * np.exp(2 * made.covariates[5]))

    learned = fit_typicality([[uneven(10 * patient + index) for index in range(3)] for patient in range(8)])
    z = evidence(uneven(90), learned, CELL_MM).z
    column, inside = made_up_windows(90).covariates[5], made_up_windows(90).inside
    for side in (inside & (column > 0.2), inside & (column < -0.2)):
        assert np.std(z[SOFT][side]) == pytest.approx(1, abs=0.15)


def test_spread_keeps_within_its_limits(typical):
    far = made_up_windows(90)
    far.covariates[5] *= 100
    scale = evidence(far, typical, CELL_MM)
    assert np.isfinite(scale.z[:, far.inside]).all()
    expected = np.exp(typical.spread_limits)
    assert (expected[:, 0] < expected[:, 1]).all()
    # Nothing here depends on anatomy, so neither does the spread.
    assert expected[:3] == pytest.approx(0.1, rel=0.3)


def test_tissue_that_no_patient_has_can_not_be_learned():
    made = made_up_windows()
    energy = made.energy.copy()
    energy[SOFT] = np.nan
    with pytest.raises(TrainingError, match=r"no window.*soft"):
        fit_typicality([[with_energy(made, energy)]])


def test_nothing_can_be_learned_without_windows():
    made = made_up_windows()
    empty = replace(made, energy=np.full_like(made.energy, np.nan), inside=np.zeros_like(made.inside))
    for patients in ([], [[]], [[empty]]):
        with pytest.raises(TrainingError, match=r"no window.*parenchyma"):
            fit_typicality(patients)


def test_terms_that_repeat_each_other_are_not_played_off_against_each_other(typical):
    # The squares of row and column add up to that of the radius, but for rounding.
    assert np.abs(typical.coefficients).max() < 10


def test_smoothing_keeps_within_the_lung(typical):
    found = evidence(planted(np.log(4)), typical, CELL_MM)
    assert np.array_equal(np.isfinite(found.suspicion), made_up_windows(90).inside)
    assert found.suspicion.dtype == np.float32


def test_one_window_alone_makes_no_peak():
    made = made_up_windows(spread=0.0)
    alone = with_energy(made, made.energy + 10 * disc(0.5))
    assert np.nanmax(evidence(alone, unit(), CELL_MM).suspicion) < 0.2 * 10 * np.sqrt(3)


def test_dictionary_and_back(typical):
    again = Typicality.from_dict(json.loads(json.dumps(typical.as_dict())))
    assert np.array_equal(again.coefficients, typical.coefficients)
    assert np.array_equal(again.spread, typical.spread)
    assert np.array_equal(again.spread_limits, typical.spread_limits)


@pytest.mark.parametrize(
    "change",
    [
        {"features": [["energy", "bone"]]},
        {"spread": [1.0, 2.0]},
        {"coefficients": [1.0]},
        {"spread_limits": [[0.0, 1.0]]},
        {"features": [list(feature) for feature in FEATURES[:2]]},
    ],
)
def test_dictionary_of_another_make(typical, change):
    with pytest.raises(ValueError, match="other statistics"):
        Typicality.from_dict({**typical.as_dict(), **change})
