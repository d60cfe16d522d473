import os

import numpy as np

from tamperscan.bench.jobs import measurements
from tamperscan.bench.processes import run_jobs

from .toys import LocalNoise, Unteachable


def test_one_that_can_not_learn_comes_out_with_its_reason(job):
    outcomes = run_jobs(
        [job("unteachable"), job("after")],
        workers=1,
        make=lambda one: Unteachable() if one.name == "unteachable" else LocalNoise("after"),
    )
    assert "ValueError: there is too little to learn from" in outcomes[0].problem
    assert "left out" in outcomes[0].words()
    assert not outcomes[1].problem


def test_one_that_can_not_be_made_comes_out_with_its_reason(job):
    (outcome,) = run_jobs([job("no such contender")], workers=1)
    assert "no contender of this name" in outcome.problem


def test_side_by_side_is_as_one_by_one(job):
    told, done = [], []
    jobs = [job("high-pass"), job("noise-level"), job("no such contender")]
    found = run_jobs(jobs, workers=2, report=lambda *each: told.append(each), done=done.append)
    assert [outcome.name for outcome in found] == [one.name for one in jobs]
    assert {outcome.name for outcome in done} == {one.name for one in jobs}
    assert "no contender of this name" in found[2].problem
    assert {("high-pass", 5.0, 2), ("noise-level", 5.0, 2)} <= set(told)
    kept = measurements(jobs[0].out, found[0].key)
    values = [kept.energies(task.key) for task in jobs[0].tasks]
    (outcome,) = run_jobs([job("high-pass")], workers=1)
    assert (outcome.key, outcome.measured) == (found[0].key, 0)
    assert all(np.isfinite(each).all() for each in values)


def unknown(_):
    """Be something that no other process can import, so that it dies at its start."""


def test_a_process_that_dies_costs_its_contender_alone(job, capfd):
    found = run_jobs([job("mortal"), job("mortal too")], workers=2, make=unknown)
    assert [outcome.problem for outcome in found] == ["its process ended with code 1"] * 2
    assert "Error" in capfd.readouterr().err


def test_the_surroundings_are_left_as_they_were(job):
    before = dict(os.environ)
    run_jobs([job("high-pass")], workers=2)
    assert dict(os.environ) == before
