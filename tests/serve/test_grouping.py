"""Which images make a series, when it is complete, and which revision of it counts."""

import time

import pytest
from received_images import an_image, receive

from tamperscan.serve.audit import AuditLog
from tamperscan.serve.deliveries import Deliveries
from tamperscan.serve.grouping import Grouper
from tamperscan.serve.indexing import Indexer
from tamperscan.serve.queue import Queue
from tamperscan.serve.rules import Rules
from tamperscan.serve.settings import Quiet
from tamperscan.serve.status import read_status

RULES = Rules.model_validate(
    {
        "quiet": {"seconds": 60},
        "destinations": {"archive": {"kind": "dicom", "host": "127.0.0.1", "port": 9, "ae_title": "ARCHIVE"}},
        "rules": [{"name": "all", "when": {"modality": "CT"}, "send_to": "archive", "keep_originals": False}],
    }
)


@pytest.fixture
def queue(home, database):
    return Queue(home, database)


@pytest.fixture
def deliveries(home, database):
    return Deliveries(database, RULES, AuditLog(home.audit_log))


@pytest.fixture
def queue_next(home, database):
    """Receive one more image of the series, and queue the series as it is then."""

    def step(index, rules=RULES):
        receive(home, an_image(index), f"image-{index}")
        Indexer(database, rules, AuditLog(home.audit_log)).index()
        Grouper(database, rules, started=0.0).close_quiet(at_once=True)

    return step


def finish(queue, verdict="clear"):
    job = queue.claim("ct")
    queue.finish(job.id, verdict=verdict, score=1.0, p_value=0.5)
    return queue.job(job.id)


def test_a_revision_that_fails_hides_no_alarm(queue, deliveries, database, queue_next):
    queue_next(0)
    first = queue.decide(finish(queue, "suspicious").id, "confirmed", "pasted in", "Dr. A")
    deliveries.plan()
    queue_next(1)
    assert [job.id for job in queue.jobs(verdict="suspicious")] == [first.id]
    queue.fail(queue.claim("ct").id, "images of different sizes", final=True)
    assert [(job.state, job.decision) for job in queue.jobs(verdict="suspicious")] == [("done", "confirmed")]
    assert read_status(database).deliveries == {("archive", "waiting"): 1}


def test_a_revision_that_is_done_takes_the_place_of_those_before_it(queue, deliveries, database, home, queue_next):
    queue_next(0)
    queue.decide(finish(queue, "suspicious").id, "confirmed", "pasted in", "Dr. A")
    deliveries.plan()
    queue_next(1)
    queue.fail(queue.claim("ct").id, "out of memory", final=True)
    queue_next(2)
    assert len(read_status(database).dead_letters) == 1
    third = finish(queue)
    assert [job.id for job in queue.jobs()] == [third.id]
    assert (third.decision, third.revision) == ("", 3)
    assert third.note == 'Revision 1 was suspicious and confirmed by Dr. A ("pasted in").'
    status = read_status(database)
    assert (status.dead_letters, status.deliveries) == ([], {("archive", "cancelled"): 1})
    deliveries.plan()
    with database.transaction() as connection:
        connection.execute("UPDATE deliveries SET state = 'done' WHERE job = ?", (third.id,))
    deliveries.forget_originals()
    assert not list(home.spool.iterdir())  # the revision that failed holds on to nothing


def test_a_revision_that_abstains_takes_back_no_alarm(queue, queue_next):
    queue_next(0)
    finish(queue, "suspicious")
    queue_next(1)
    finish(queue, "abstained")
    assert {job.verdict for job in queue.jobs()} == {"suspicious", "abstained"}


def test_a_revision_that_fails_after_a_later_one_was_done_is_let_go(queue, queue_next):
    queue_next(0)
    early = queue.claim("ct")
    queue_next(1)
    finish(queue)
    assert queue.fail(early.id, "out of memory").state == "skipped"


def test_a_decision_is_told_to_every_later_revision(queue, queue_next):
    queue_next(0)
    queue.decide(finish(queue).id, "dismissed", "", "Dr. B")
    queue_next(1)
    finish(queue)
    queue_next(2)
    assert finish(queue).note == "Revision 1 was dismissed by Dr. B."


def test_what_no_rule_fitted_is_screened_once_the_rules_are_corrected(queue, database, queue_next):
    other = RULES.model_validate({"rules": [{"name": "mr", "when": {"modality": "MR"}}]})
    queue_next(0, other)
    assert [row["state"] for row in database.rows("SELECT state FROM instances")] == ["ignored"]
    Grouper(database, RULES, started=0.0).close_quiet(at_once=True)
    assert len(queue.jobs()) == 1


def test_what_was_ignored_and_not_kept_is_new_when_it_comes_again(home, queue, database, queue_next):
    queue_next(0, Rules.model_validate({"rules": [{"name": "none", "screen": False, "keep_originals": False}]}))
    assert not list(home.spool.iterdir())
    receive(home, an_image(0), "again")
    Indexer(database, RULES, AuditLog(home.audit_log)).index()
    Grouper(database, RULES, started=0.0).close_quiet(at_once=True)
    assert len(queue.jobs()) == 1


def test_images_that_come_twice_do_not_hold_up_their_series(home, database):
    receive(home, an_image(0), "first", arrived=time.time() - 100)
    receive(home, an_image(0), "again")
    Indexer(database, RULES, AuditLog(home.audit_log)).index()
    assert Grouper(database, RULES, started=0.0).close_quiet() == 1


def test_a_series_that_never_becomes_quiet_is_screened_all_the_same(home, database):
    bounded = RULES.model_copy(update={"quiet": Quiet(seconds=60, at_most=600)})
    now = time.time()
    for index, ago in enumerate((590, 300, 0)):
        receive(home, an_image(index), f"image-{index}", arrived=now - ago)
    Indexer(database, bounded, AuditLog(home.audit_log)).index()
    grouper = Grouper(database, bounded, started=0.0)
    assert grouper.close_quiet() == 0
    with database.transaction() as connection:
        connection.execute("UPDATE instances SET arrived = arrived - 11")
    assert grouper.close_quiet() == 1
    assert grouper.close_quiet() == 0
