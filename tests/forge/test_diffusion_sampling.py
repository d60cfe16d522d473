from itertools import pairwise

import numpy as np
import pytest

from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.forge.diffusion_sampling import inpaint, repaint_path, respace, spread_levels

SCHEDULE = noise_schedule("cosine")
SHAPE = (3, 8, 8)


def knowing(image):
    """A perfect model of a world in which there is one image."""

    def predict(stack, sigma):
        alpha = np.sqrt(1.0 - sigma**2)
        noise = (stack - alpha * image) / sigma
        return (alpha * noise - sigma * image).astype(np.float32)

    return predict


def paint(predict, guide, release, seed=0, **changes):
    sampling = {"steps": 10, "jump": 3, "rounds": 2} | changes
    return inpaint(predict, guide, release, SCHEDULE, np.random.default_rng(seed), **sampling)


def half_free(share=1.0):
    release = np.zeros(SHAPE, np.float32)
    release[:, :, 4:] = share
    return release


def test_levels_go_from_the_lowest_to_the_start():
    levels = spread_levels(999, 40)
    assert (levels[0], levels[-1]) == (0, 999)
    assert np.all(np.diff(levels) > 0)
    assert np.all(np.diff(levels)[1:] >= np.diff(levels)[:-1] - 1)


def test_a_respaced_schedule_keeps_the_noise_of_its_levels():
    spaced = respace(SCHEDULE, np.array([0, 10, 500]))
    assert spaced.sigma(2) == pytest.approx(SCHEDULE.sigma(500))


def test_plain_sampling_visits_each_level_once():
    assert repaint_path(4, jump=2, rounds=1) == [3, 2, 1, 0, -1]


def test_resampling_goes_down_each_stretch_so_many_times():
    assert repaint_path(4, jump=2, rounds=2) == [3, 2, 1, 3, 2, 1, 0, -1]
    assert repaint_path(3, jump=2, rounds=3) == [2, 1, 0, 2, 1, 0, 2, 1, 0, -1]


def test_the_model_is_asked_once_for_each_step_down():
    calls = []
    predict = knowing(np.zeros(SHAPE, np.float32))

    def counting(stack, sigma):
        calls.append(sigma)
        return predict(stack, sigma)

    paint(counting, np.zeros(SHAPE, np.float32), half_free(), steps=10, jump=3, rounds=3)
    path = repaint_path(10, jump=3, rounds=3)
    assert len(calls) == sum(after < before for before, after in pairwise(path)) == 10 + 2 * 9


def test_what_is_known_stays_exactly_whatever_the_model_says():
    guide = np.random.default_rng(1).uniform(-1, 1, SHAPE).astype(np.float32)
    painted = paint(lambda stack, sigma: np.ones_like(stack), guide, half_free())
    assert np.array_equal(painted[:, :, :4], guide[:, :, :4])
    assert not np.array_equal(painted[:, :, 4:], guide[:, :, 4:])


def test_a_perfect_model_draws_its_image():
    image = np.full(SHAPE, 0.4, np.float32)
    painted = paint(knowing(image), np.zeros(SHAPE, np.float32), half_free())
    assert np.allclose(painted[:, :, 4:], 0.4, atol=1e-4)


def test_same_seed_same_image():
    guide = np.zeros(SHAPE, np.float32)
    one, same, other = (paint(lambda stack, sigma: 0.1 * stack, guide, half_free(), seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_less_release_keeps_more_of_the_guide():
    """A model that says nothing leaves the noise as it is, and how much there was depends on the start."""
    guide = np.full(SHAPE, 0.5, np.float32)
    ignorant = knowing(np.zeros(SHAPE, np.float32))

    def unsure(stack, sigma):
        # Believes that the start is what it sees, shrunk.
        return ignorant(stack, sigma) if sigma > 0.7 else np.zeros_like(stack)

    free, guided = (
        np.abs(paint(unsure, guide, half_free(share), rounds=1)[:, :, 4:] - 0.5).mean() for share in (1, 0.05)
    )
    assert guided < 0.2 < free


def test_the_model_sees_the_known_part_at_the_level_of_the_rest():
    guide = np.full(SHAPE, 1.0, np.float32)
    seen = []

    def spying(stack, sigma):
        seen.append((sigma, float(stack[:, :, :4].mean())))
        return np.zeros_like(stack)

    paint(spying, guide, half_free(), rounds=1)
    assert all(mean == pytest.approx(np.sqrt(1 - sigma**2), abs=0.35) for sigma, mean in seen)
    assert seen[-1][1] == pytest.approx(1.0, abs=0.02)
