from tamperscan.bench.jobs import measurements, run_job

from .toys import LocalNoise


def nothing(*told):
    pass


def test_a_job_learns_and_measures_everything_once(job):
    first, second = LocalNoise("once"), LocalNoise("once")
    outcome = run_job(job("once"), nothing, lambda _: first)
    again = run_job(job("once"), nothing, lambda _: second)
    assert (outcome.trained, outcome.measured) == (True, 2)
    assert (again.trained, again.measured) == (False, 0)
    assert (second.learned_steps, second.energies) == (0, 0)
    assert (again.key, again.facts) == (outcome.key, outcome.facts)
    kept = measurements(job("once").out, outcome.key)
    assert all(kept.energies(task.key).size for task in job("once").tasks)
    assert "trained anew, 2 slices" in outcome.words()
    assert "trained before, 0 slices" in again.words()


def test_progress_is_told_while_learning_and_measuring(job):
    told = []
    run_job(job("told"), lambda *each: told.append(each), lambda _: LocalNoise("told"))
    assert told[0] == ("told", 0.25, 0)
    assert told[-1] == ("told", 5.0, 2)
    assert [each[1] for each in told] == sorted(each[1] for each in told)
