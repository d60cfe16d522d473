import numpy as np
import pytest

from tamperscan.detect.outliers import fit_lower, outlying


def scores(seed, count=34):
    return 2.5 + 0.8 * np.random.default_rng(seed).gumbel(size=count)


def test_law_of_the_lower_scores_is_found():
    mode, scale = fit_lower(scores(0, 5000))
    assert mode == pytest.approx(2.5, abs=0.05)
    assert scale == pytest.approx(0.8, abs=0.05)


def test_high_scores_do_not_move_the_fit():
    plain = scores(1)
    high = np.where(plain >= np.sort(plain)[-3], 50.0, plain)
    assert fit_lower(high) == pytest.approx(fit_lower(plain))


def test_planted_outliers_are_named_highest_first():
    planted = scores(2)
    planted[[4, 20]] = 12.0, 15.0
    assert outlying(planted) == [20, 4]


def test_authentic_scores_are_seldom_set_aside():
    set_aside = [bool(outlying(scores(seed))) for seed in range(300)]
    assert np.mean(set_aside) < 0.27


def test_tails_lighter_than_the_law_lose_nothing():
    set_aside = [bool(outlying(np.random.default_rng(seed).normal(size=34))) for seed in range(300)]
    assert np.mean(set_aside) < 0.03


def test_at_most_a_tenth_is_set_aside():
    planted = scores(3, 40)
    planted[:10] = 30.0
    assert len(outlying(planted)) <= 4


def test_too_few_scores_to_tell():
    assert outlying(np.array([1.0] * 8 + [100.0])) == []


def test_scores_that_are_all_alike():
    assert outlying(np.ones(30)) == []
