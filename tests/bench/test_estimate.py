import math
from dataclasses import replace

import pytest

from tamperscan.bench.estimate import Estimate, Progress, duration, estimate, seconds_in_all
from tamperscan.bench.jobs import run_job

from .toys import Bright, LocalNoise, Unteachable


def test_one_that_learns_is_given_its_budget(job):
    found = estimate(job("to learn"), lambda _: LocalNoise("to learn"), more_slices=7)
    assert (found.learning, found.slices) == (5.0, 9)
    assert 0 < found.a_slice < 60
    assert found.seconds == pytest.approx(5.0 + 9 * found.a_slice)
    assert "5 s to learn, 9 slices" in found.words()


def test_one_that_learns_nothing_is_given_none(job):
    found = estimate(job("bright"), lambda _: Bright())
    assert (found.learning, found.slices) == (0.0, 2)


def test_a_trial_leaves_nothing_behind(job):
    before = sorted(job("x").out.rglob("*"))
    estimate(job("trial"), lambda _: LocalNoise("trial"))
    assert sorted(job("x").out.rglob("*")) == before


def test_what_is_done_takes_no_time(job):
    run_job(job("done"), lambda *told: None, lambda _: LocalNoise("done"))
    found = estimate(job("done"), lambda _: LocalNoise("done"))
    assert (found.learning, found.slices, found.seconds) == (0.0, 0, 0.0)
    more = estimate(replace(job("done"), budget=job("done").budget), lambda _: LocalNoise("done"), more_slices=3)
    assert more.seconds == pytest.approx(3 * more.a_slice)


def test_one_that_can_not_be_tried_is_not_known(job):
    found = estimate(job("unteachable"), lambda _: Unteachable())
    assert math.isnan(found.a_slice)
    assert found.seconds == 0.0
    assert "could not be tried" in found.words()


def test_side_by_side_takes_as_long_as_the_longest():
    estimates = [Estimate("a", 10.0, 5, 2.0), Estimate("b", 0.0, 100, 1.0), Estimate("c", 0.0, 0, math.nan)]
    assert seconds_in_all(estimates, 1) == 120
    assert seconds_in_all(estimates, 2) == 100
    assert seconds_in_all([], 2) == 0


def test_progress_never_goes_beyond_its_estimate():
    told = []
    progress = Progress([Estimate("a", 10.0, 5, 2.0), Estimate("b", 0.0, 0, math.nan)], lambda *each: told.append(each))
    progress.update("a", 4.0, 0)
    progress.update("a", 30.0, 1)
    progress.update("b", 5.0, 8)
    progress.update("a", 30.0, 50)
    progress.finish("a")
    assert told == [(4, 20), (12, 20), (12, 20), (20, 20), (20, 20)]


@pytest.mark.parametrize(("seconds", "words"), [(12.3, "12 s"), (200, "3 min"), (7200, "2.0 h")])
def test_durations(seconds, words):
    assert duration(seconds) == words
