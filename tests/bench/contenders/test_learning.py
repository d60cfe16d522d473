import math

import numpy as np
import pytest
import torch
from torch import nn

from tamperscan.bench.contenders import learning
from tamperscan.bench.contenders.contender import Budget
from tamperscan.bench.contenders.descent import descend, falling_rate
from tamperscan.bench.contenders.learning import Course, NetworkContender, train
from tamperscan.bench.contenders.storage import LEARNED_FILE, STATE_FILE
from tamperscan.diffusion.ema import Ema
from tamperscan.errors import BenchError

from .small import NoiseCrops, silent

SECONDS_A_STEP = 1.0
TOLD = {"name": "line"}


class Clock:
    """CPU seconds that pass by steps alone, so that a run has as many steps on every machine."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


class LineCourse(Course):
    """Learns a straight line; the loss of the given steps is not finite."""

    crops_a_step = 4

    def __init__(self, clock, bad=()):
        self.networks = {"line": nn.Linear(1, 1)}
        self.averages = {"line": Ema(self.networks["line"], decay=0.9, every=1, start=0)}
        self.optimisers = {"line": torch.optim.Adam(self.networks["line"].parameters())}
        self.learned = ("line",)
        self.clock, self.bad, self.shares = clock, bad, []

    def step(self, rng, share):
        self.shares.append(share)
        self.clock.seconds += SECONDS_A_STEP
        x = torch.from_numpy(rng.random((4, 1), dtype=np.float32))
        loss = (self.networks["line"](x) - 3 * x - 1).square().mean()
        if len(self.shares) - 1 in self.bad:
            loss = loss * math.nan
        return descend(loss, self.optimisers["line"], rate=falling_rate(0.1, share))


class Line(NetworkContender):
    def __init__(self, clock):
        self.name, self.settings, self.clock = "line", {}, clock

    def course(self, authentic):
        return LineCourse(self.clock)

    def fresh(self):
        return {"line": nn.Linear(1, 1)}


class KilledError(Exception):
    pass


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(learning, "clock", made)
    return made


def run(clock, folder, seconds=60.0, report=silent, **settings):
    courses = []

    def make():
        courses.append(LineCourse(clock, **settings))
        return courses[-1]

    facts = train(make, TOLD, Budget(seconds), folder, report)
    return facts, courses[-1] if courses else None


def killed_after(steps):
    def report(spent, budget):
        if spent >= steps * SECONDS_A_STEP:
            raise KilledError

    return report


def weights(course):
    return [value.clone() for module in course.modules().values() for value in module.state_dict().values()]


def test_it_learns_until_the_budget_is_spent(clock, tmp_path):
    facts, course = run(clock, tmp_path)
    assert (facts["steps"], facts["crops"], facts["seconds"], facts["parameters"]) == (60, 240, 60.0, 2)
    assert course.shares[0] == 0
    assert course.shares[-1] == pytest.approx(59 / 60)
    assert course.networks["line"].weight.item() > 1.5  # of 3, from at most 1
    assert [path.name for path in tmp_path.iterdir()] == [LEARNED_FILE]


def test_a_step_that_would_not_fit_by_half_is_not_made(clock, tmp_path):
    assert run(clock, tmp_path, seconds=3.4)[0]["steps"] == 3
    assert run(clock, tmp_path / "more", seconds=3.6)[0]["steps"] == 4


def test_one_step_is_made_in_any_case(clock, tmp_path):
    assert run(clock, tmp_path, seconds=0.1)[0]["steps"] == 1


def test_progress_is_told_in_seconds(clock, tmp_path):
    told = []
    run(clock, tmp_path, seconds=3.0, report=lambda *seconds: told.append(seconds))
    assert told == [(1.0, 3.0), (2.0, 3.0), (3.0, 3.0)]


def test_a_killed_run_goes_on_as_if_nothing_had_been(clock, tmp_path):
    whole, course = run(clock, tmp_path / "whole")
    with pytest.raises(KilledError):
        run(clock, tmp_path / "killed", report=killed_after(41))
    assert (tmp_path / "killed" / STATE_FILE).exists()
    again, resumed = run(clock, tmp_path / "killed")
    assert len(resumed.shares) < 25
    assert again == whole
    assert all(torch.equal(one, other) for one, other in zip(weights(course), weights(resumed), strict=True))


def test_the_state_is_saved_often(clock, tmp_path):
    with pytest.raises(KilledError):
        run(clock, tmp_path, seconds=1000.0, report=killed_after(70))
    _, course = run(clock, tmp_path, seconds=1000.0, report=silent)
    assert 930 <= len(course.shares) <= 952


def test_a_finished_run_is_not_made_again(clock, tmp_path):
    facts, _ = run(clock, tmp_path, seconds=3.0)
    assert run(clock, tmp_path, seconds=3.0) == (facts, None)


def test_another_budget_is_refused_while_unfinished_too(clock, tmp_path):
    told = {"budget": 60.0}
    with pytest.raises(KilledError):
        train(lambda: LineCourse(clock), told, Budget(60.0), tmp_path, killed_after(10))
    with pytest.raises(BenchError, match="another budget"):
        train(lambda: LineCourse(clock), {"budget": 90.0}, Budget(90.0), tmp_path, silent)


def test_a_bad_step_leaves_the_weights_alone(clock, tmp_path):
    facts, course = run(clock, tmp_path, bad=(3, 4, 20))
    assert math.isfinite(facts["loss"])
    assert all(torch.isfinite(value).all() for value in weights(course))
    assert course.averages["line"].calls == 57


def test_too_many_bad_steps_running_end_it(clock, tmp_path):
    with pytest.raises(BenchError, match="line: the loss was not finite"):
        run(clock, tmp_path, bad=range(10, 60))


def test_a_contender_has_the_average_afterwards(clock, tmp_path):
    contender = Line(clock)
    contender.learn(NoiseCrops(), Budget(5.0), tmp_path, silent)
    _, course = run(clock, tmp_path / "same", seconds=5.0)
    average, trained = course.averages["line"].model, course.networks["line"]
    assert torch.equal(contender.networks["line"].weight, average.weight)
    assert not torch.equal(average.weight, trained.weight)


def test_weights_of_another_network_are_refused(clock, tmp_path):
    contender = Line(clock)
    contender.learn(NoiseCrops(), Budget(1.0), tmp_path, silent)
    contender.fresh = lambda: {"line": nn.Linear(2, 1)}
    with pytest.raises(BenchError, match="does not fit its network"):
        contender.load(tmp_path)


def test_seeds_decide_the_weights_and_leave_torch_alone(clock, tmp_path):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = run(clock, tmp_path / "a", seconds=2.0)[1]
    torch.manual_seed(6)
    second = run(clock, tmp_path / "b", seconds=2.0)[1]
    assert torch.equal(first.networks["line"].weight, second.networks["line"].weight)
    torch.manual_seed(5)
    assert torch.equal(torch.random.get_rng_state(), before)
