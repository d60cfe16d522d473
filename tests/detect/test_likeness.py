import numpy as np
import pytest

from tamperscan.detect.likeness import adjusted_scores, alike, gain, worth_adjusting

from .acquisitions import acquisition

SOFT, SHARP = {"grain": 0.7}, {"grain": 0.1}


def drawn(seed, count, slope=0.0):
    """Scores that depend on the grain by the slope, and the acquisitions."""
    rng = np.random.default_rng(seed)
    made = [acquisition(grain=rng.uniform(0, 0.8), noise=10 ** rng.uniform(0.8, 1.6)) for _ in range(count)]
    return np.array([slope * each.grain for each in made]) + rng.gumbel(size=count), made


def test_patients_of_like_acquisition_are_chosen():
    others = [acquisition(**SOFT)] * 20 + [acquisition(**SHARP)] * 30
    assert alike(acquisition(**SOFT), others, 19).tolist() == [True] * 20 + [False] * 30
    assert alike(acquisition(**SHARP), others, 19).sum() == 30


def test_stratum_with_too_few_is_made_coarser():
    others = [acquisition(**SOFT, slice_mm=5.0)] * 10 + [acquisition(**SOFT)] * 15 + [acquisition(**SHARP)] * 30
    assert alike(acquisition(**SOFT), others, 19).sum() == 25
    assert alike(acquisition(**SOFT), others, 15).sum() == 15
    assert alike(acquisition(**SOFT), others, 31) is None


def test_all_alike_need_no_stratum():
    assert alike(acquisition(), [acquisition()] * 40, 19) is None


def test_unknown_acquisition_has_no_stratum():
    assert alike(acquisition(grain=np.nan), [acquisition()] * 40, 19) is None


def test_gain_is_seen_where_there_is_one():
    assert worth_adjusting(*drawn(0, 40, slope=6.0))
    assert gain(*drawn(0, 40, slope=6.0)) > 0.2


def test_scores_that_do_not_depend_on_it_are_seldom_adjusted():
    used = [worth_adjusting(*drawn(seed, 34)) for seed in range(200)]
    assert np.mean(used) < 0.05


def test_few_patients_are_not_adjusted():
    assert not worth_adjusting(*drawn(0, 18, slope=20.0))


def test_adjusted_scores_follow_the_acquisition():
    scores, made = drawn(1, 60, slope=6.0)
    sharp, soft = (np.median(adjusted_scores(scores, made, acquisition(grain=grain))) for grain in (0.1, 0.7))
    assert soft > sharp + 1.5


def test_rank_among_adjusted_scores_is_that_of_the_residuals():
    """The closed form against a fit for each score of the scan."""
    scores, made = drawn(2, 30, slope=4.0)
    judged = acquisition(grain=0.2, noise=40.0)
    reached = adjusted_scores(scores, made, judged)
    for score in (-1.0, 1.0, 3.0, 6.0):
        assert (reached >= score).sum() == reference_count(scores, made, judged, score)


def reference_count(scores, made, judged, score):
    rows = [(each.grain, np.log(each.noise), np.log(each.slice_mm)) for each in (judged, *made)]
    table = np.array(rows)
    spread = table.std(axis=0)
    table = (table - table.mean(axis=0)) / np.where(spread > 0, spread, 1)
    values = np.concatenate(([score], scores))
    centred = values - values.mean()
    fit = np.linalg.solve(table.T @ table + 0.3 * len(values) * np.eye(3), table.T @ centred)
    residual = centred - table @ fit
    return int((residual[1:] >= residual[0]).sum())


@pytest.mark.parametrize("slope", [0.0, 5.0])
def test_p_values_of_adjusted_scores_hold(slope):
    alarms = []
    for seed in range(400):
        scores, made = drawn(seed, 40, slope)
        reached = adjusted_scores(scores[1:], made[1:], made[0])
        alarms.append((1 + (reached >= scores[0]).sum()) / 40 <= 0.1)
    assert 0.05 < np.mean(alarms) < 0.15


def test_adjusting_levels_the_alarms_between_kernels():
    plain, adjusted = [], []
    for seed in range(300):
        scores, made = drawn(seed, 60, slope=6.0)
        judged, score = acquisition(grain=0.75), 6.0 * 0.75 + np.random.default_rng(900 + seed).gumbel()
        plain.append((1 + (scores >= score).sum()) / 61 <= 0.1)
        adjusted.append((1 + (adjusted_scores(scores, made, judged) >= score).sum()) / 61 <= 0.1)
    assert np.mean(plain) > 0.2
    assert np.mean(adjusted) < np.mean(plain) - 0.05
