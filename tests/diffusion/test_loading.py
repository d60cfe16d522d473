"""Draws ahead of the training: the same numbers, whoever draws them."""

import functools
import operator

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamperscan.diffusion.loading import loaders_for, steps_ahead  # noqa: E402

draw = operator.methodcaller("standard_normal", (1, 4))  # something that another process can find


def drawn(**settings):
    return [step for (step,) in steps_ahead(draw, (3, 1), 5, 9, **{"loaders": 0, **settings})]


def test_a_step_draws_by_seed_process_and_number():
    expected = [np.random.default_rng((3, 1, step)).standard_normal((1, 4))[0] for step in range(5, 9)]
    np.testing.assert_array_equal(np.stack(drawn()), expected)


def test_other_processes_draw_the_same():
    assert all(map(torch.equal, drawn(), drawn(loaders=1)))


def test_a_step_is_drawn_when_it_is_asked_for():
    asked = []
    steps = steps_ahead(functools.partial(asked_for, asked), (0,), 0, 3, loaders=0)
    assert not asked
    next(steps)
    assert len(asked) == 1


def asked_for(asked, rng):
    asked.append(rng)
    return (np.zeros(1),)


def test_beside_a_cpu_nobody_else_draws():
    assert loaders_for("cpu") == 0
    assert loaders_for("cuda") >= 1
