import json
import time

import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.home import Home
from tamperscan.serve.queue import MOST_ATTEMPTS, Queue


@pytest.fixture
def queue(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    opened = Queue(home)
    yield opened
    opened.database.close()


def add(queue, key="a", **more):
    return queue.add(key, origin="page", model="ct", source="somewhere", **more)


def hurry(queue):
    with queue.database.transaction() as connection:
        connection.execute("UPDATE jobs SET not_before = 0")


def test_a_job_is_added_once(queue):
    assert add(queue) == add(queue, title="other")
    assert len(queue.jobs()) == 1


def test_a_job_goes_from_queued_to_done(queue):
    job = add(queue)
    assert queue.claim("mr") is None
    assert queue.claim("ct", "me").id == job.id
    assert queue.claim("ct") is None
    queue.report_progress(job.id, 0.5)
    assert queue.job(job.id).progress == 0.5
    queue.finish(job.id, verdict="suspicious", score=3.0, p_value=0.01)
    done = queue.job(job.id)
    assert (done.state, done.verdict, done.score, done.progress) == ("done", "suspicious", 3.0, 1.0)


def test_what_fails_waits_longer_each_time_and_dies_in_the_end(queue):
    job = add(queue)
    pauses = []
    for _ in range(MOST_ATTEMPTS):
        queue.claim("ct")
        queue.fail(job.id, "no luck")
        (row,) = queue.database.rows("SELECT not_before FROM jobs")
        pauses.append(row["not_before"] - time.time())
        assert queue.claim("ct") is None
        hurry(queue)
    assert queue.job(job.id).state == "failed"
    assert queue.job(job.id).error == "no luck"
    assert 5 < pauses[0] < pauses[1] < pauses[2]
    assert queue.retry()[0].state == "queued"
    assert queue.claim("ct").attempts == 1


def test_a_job_that_kills_its_worker_again_and_again_dies(queue):
    job = add(queue)
    for _ in range(MOST_ATTEMPTS):
        assert queue.claim("ct").id == job.id
        assert queue.requeue_orphans("ct") == [job.id]
        hurry(queue)
    assert queue.job(job.id).state == "failed"
    assert "worker died" in queue.job(job.id).error


def test_what_fails_for_good_is_audited_once(queue):
    dead, dying, waiting = (add(queue, key, study_uid="1.2.3") for key in "abc")
    queue.claim("ct")
    queue.fail(dead.id, "no scan", final=True)
    for _ in range(MOST_ATTEMPTS):
        hurry(queue)
        queue.claim("ct")
        queue.requeue_orphans("ct")
    hurry(queue)
    queue.fail_waiting("ct", "no worker")
    lines = [json.loads(line) for line in queue.home.audit_log.read_text().splitlines()]
    told = [(line["event"], line["job"], line["reason"].split(";")[0]) for line in lines]
    assert told == [
        ("not-screened", dead.id, "no scan"),
        ("not-screened", dying.id, "the worker died while it screened this"),
        ("not-screened", waiting.id, "no worker"),
    ]


class KilledError(Exception):
    pass


ENDS = {
    "screened": lambda queue, id: queue.finish(id, verdict="clear", score=1.0, p_value=0.5),
    "not-screened": lambda queue, id: queue.fail(id, "no scan", final=True),
}


@pytest.mark.parametrize("after", [False, True], ids=["before the trail is told", "before that is noted"])
@pytest.mark.parametrize("event", ["screened", "not-screened"])
def test_a_kill_between_the_job_and_the_audit_trail(queue, monkeypatch, event, after):
    real = AuditLog.append_all

    def killed(log, entries):
        if after:
            real(log, entries)
        raise KilledError

    job = add(queue, study_uid="1.2.3")
    queue.claim("ct")
    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append_all", killed)
        with pytest.raises(KilledError):
            ENDS[event](queue, job.id)
    for _ in range(2):
        queue.requeue_orphans("ct")
    assert queue.job(job.id).state == {"screened": "done", "not-screened": "failed"}[event]
    lines = [json.loads(line) for line in queue.home.audit_log.read_text().splitlines()]
    assert [(line["event"], line["job"], line["study"]) for line in lines] == [(event, job.id, "1.2.3")]


def test_a_power_cut_is_no_fault_of_the_job(queue):
    job = add(queue)
    for _ in range(3 * MOST_ATTEMPTS):
        queue.claim("ct")
        queue.forgive_orphans()
    assert queue.job(job.id).state == "queued"
    assert queue.job(job.id).attempts == 0


def test_jobs_are_found_by_what_is_known_of_them(queue):
    add(queue, "a", title="CT chest", study_uid="1.2.3")
    add(queue, "b", title="CT head", state="skipped")
    assert [job.title for job in queue.jobs(text="CHEST")] == ["CT chest"]
    assert [job.title for job in queue.jobs(text="1.2.3")] == ["CT chest"]
    assert queue.count(state="skipped") == 1
    assert queue.count(text="%") == 0
    assert len(queue.jobs(limit=1, offset=1)) == 1


def test_a_decision_is_kept(queue):
    job = add(queue)
    with pytest.raises(ServeError, match="not screened yet"):
        queue.decide(job.id, "confirmed", "", "me")
    queue.claim("ct")
    queue.finish(job.id, verdict="clear", score=None, p_value=None)
    assert queue.decide(job.id, "dismissed", "an artefact", "me").comment == "an artefact"
    assert queue.count(decision="") == 0
    with pytest.raises(ServeError, match="no decision"):
        queue.decide(job.id, "perhaps", "", "me")


def test_no_folder_is_made_from_anything_but_an_id(queue):
    for name in ("../../etc", "1.2.3", "A" * 32, ""):
        with pytest.raises(ServeError, match="no job"):
            queue.home.result_folder(name)
