import numpy as np
import pytest

from tamperscan.detect.robust_calibration import ScoredScan, calibrate_robustly, calibrate_scores, robust_growth

from .acquisitions import acquisition


def scored(seed, height=0.0, name="scan"):
    scores = np.random.default_rng(seed).normal(size=5) + height
    return [ScoredScan(name, scores, 5.0, acquisition(noise=10.0 + seed))]


def site(tampered=()):
    """Forty patients, some of them tampered with: higher, and with a spread that grows if they are learned from."""
    names = [f"patient {number}" for number in range(40)]

    def score(learned_from):
        spoilt = sum(name in learned_from for name in tampered)
        return {
            name: scored(number, (14.0 - 2.0 * spoilt) * (name in tampered), f"scan {number}")
            for number, name in enumerate(names)
        }

    return names, score


def test_nothing_is_set_aside_of_authentic_patients():
    names, score = site()
    calibration, aside = calibrate_robustly(names, score)
    assert aside == ()
    assert calibration.set_aside == 0
    assert calibration.as_dict() == calibrate_scores(score(names)).as_dict()


def test_tampered_patients_are_named_and_set_aside():
    names, score = site(("patient 7", "patient 30"))
    calibration, aside = calibrate_robustly(names, score)
    assert {each.patient for each in aside} == {"patient 7", "patient 30"}
    assert (len(calibration.scan_scores), calibration.set_aside) == (38, 2)
    assert calibration.too_small_by == pytest.approx(2 / 41)
    assert aside[0].score > aside[0].highest_kept == calibration.scan_scores[-1]
    assert "scan" in str(aside[0])
    assert "Look at it" in str(aside[0])


def test_p_values_are_those_without_the_tampered_patients():
    names, score = site(("patient 7", "patient 30"))
    robust, _ = calibrate_robustly(names, score)
    spoilt = calibrate_scores(score(names))
    assert robust.scan_p_value(8.0) == pytest.approx(1 / 39)
    assert spoilt.scan_p_value(8.0) == pytest.approx(3 / 41)


def test_what_was_set_aside_is_no_ground():
    names, score = site(("patient 7",))
    calibration, _ = calibrate_robustly(names, score)
    assert 17.0 not in [each.noise for each in calibration.ground]
    assert len(calibration.ground) == 39


def test_growth_is_that_of_the_law_and_a_few_tampered_slices_do_not_move_it():
    rng = np.random.default_rng(5)
    plain = {str(number): [ScoredScan("scan", rng.gumbel(size=20), 5.0, acquisition())] for number in range(200)}
    spoilt = plain | {str(number): [ScoredScan("scan", np.full(20, 30.0), 5.0, acquisition())] for number in range(8)}
    assert robust_growth(calibrate_scores(plain)) == pytest.approx(1.0, abs=0.06)
    assert robust_growth(calibrate_scores(spoilt)) == pytest.approx(1.0, abs=0.15)
    assert calibrate_scores(spoilt).growth > 3
