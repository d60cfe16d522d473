"""Planning deliveries: what is damaged or has no receiver any more, and what becomes of the images."""

import pytest

pytest.importorskip("pynetdicom")

from received_images import an_image, receive

from tamperscan.serve.audit import AuditLog
from tamperscan.serve.database import Database
from tamperscan.serve.deliveries import MOST_REFUSALS, Deliveries, retry_dead
from tamperscan.serve.grouping import Grouper
from tamperscan.serve.indexing import Indexer
from tamperscan.serve.queue import Queue
from tamperscan.serve.rules import Rules
from tamperscan.serve.status import read_status


def rules_to(*names):
    destination = {"kind": "dicom", "host": "127.0.0.1", "port": 9, "ae_title": "X"}
    rule = {"name": "all", "send_to": names, "keep_originals": False}
    return Rules.model_validate({"destinations": dict.fromkeys(names, destination), "rules": [rule]})


@pytest.fixture
def audit(home):
    return AuditLog(home.audit_log)


@pytest.fixture
def deliveries(database, audit):
    return Deliveries(database, rules_to("pacs"), audit)


@pytest.fixture
def screened(home, database, audit):
    """Makes a job of one received image that is done, with one result."""

    def screened(name="a", result=None):
        image = an_image(index=ord(name))
        image.StudyInstanceUID = image.SeriesInstanceUID = f"1.2.{ord(name)}"
        receive(home, image, name)
        rules = rules_to("pacs")
        Indexer(database, rules, audit).index()
        Grouper(database, rules, started=0).close_quiet(at_once=True)
        queue = Queue(home, database)
        job = queue.claim("ct").id
        folder = home.result_folder(job) / "dicom"
        folder.mkdir(parents=True)
        image.save_as(folder / "result.dcm", enforce_file_format=True)
        if result is not None:
            (folder / "result.dcm").write_bytes(result)
        queue.finish(job, verdict="clear", score=None, p_value=None)
        return job

    return screened


def deliveries_of(database):
    return {row["job"]: (row["state"], row["error"]) for row in database.rows("SELECT * FROM deliveries")}


@pytest.mark.parametrize("content", [b"", b"damaged"])
def test_a_damaged_result_is_a_dead_letter_and_holds_up_no_other_job(home, database, deliveries, screened, content):
    damaged = screened("a", content)
    whole = screened("b")
    assert deliveries.plan() == 2
    assert deliveries.plan() == 0
    assert deliveries_of(database)[whole][0] == "waiting"
    assert deliveries_of(database)[damaged][0] == "dead"
    (letter,) = read_status(database).dead_letters
    assert (letter.job, letter.what) == (damaged, "pacs")
    assert "no whole DICOM object" in letter.error


def test_a_destination_that_is_gone_from_the_rules_leaves_a_dead_letter_that_keeps_the_images(
    home, database, deliveries, audit, screened
):
    job = screened()
    deliveries.plan()
    renamed = Deliveries(database, rules_to("archive"), audit)
    renamed.plan()
    state, error = deliveries_of(database)[job]
    assert state == "dead"
    assert "'pacs' is no destination of the rules any more" in error
    assert renamed.forget_originals() == 0
    retry_dead(database)
    deliveries.plan()  # it is called as before again
    assert deliveries_of(database)[job] == ("waiting", "")


def test_what_was_cancelled_while_it_was_under_way_becomes_no_dead_letter(database, deliveries, screened):
    """A later revision of its series took its place."""
    screened()
    deliveries.plan()
    (delivery,) = deliveries.due("pacs", 4e9)
    with database.transaction() as connection:
        connection.execute("UPDATE deliveries SET state = 'cancelled'")
    deliveries.failed(delivery, "can't be reached", 4e9, unreachable=True)
    assert read_status(database).dead_letters == []


def test_what_failed_comes_after_what_did_not(database, deliveries, screened):
    first, second = screened("a"), screened("b")
    deliveries.plan()
    now = 4e9
    poison = deliveries.due("pacs", now)[0]
    assert poison.job == first
    deliveries.failed(poison, "refused", now, unreachable=False)
    assert [one.job for one in deliveries.due("pacs", now + 3600)] == [second, first]


def test_a_receiver_that_is_out_of_reach_counts_as_tried_for_all_that_is_due(database, deliveries, screened):
    screened("a")
    screened("b")
    deliveries.plan()
    assert deliveries.untried("pacs")
    one, _ = deliveries.due("pacs", 4e9)
    pause = deliveries.failed(one, "can't be reached", one.planned, unreachable=True)
    assert not deliveries.untried("pacs")
    waiting = deliveries.due("pacs", one.planned + pause)
    assert [(other.attempts, other.refusals) for other in waiting] == [(1, 0), (1, 0)]


def test_a_retry_begins_to_count_anew_and_knows_what_the_receiver_has(database, deliveries, screened):
    screened()
    deliveries.plan()
    (delivery,) = deliveries.due("pacs", 4e9)
    deliveries.accepted(delivery, ["1.2.3"])
    for _ in range(MOST_REFUSALS):
        (delivery,) = deliveries.due("pacs", 4e9)
        deliveries.failed(delivery, "refused", 0.0, unreachable=False)
    assert not deliveries.due("pacs", 4e9)
    assert retry_dead(database) == 1
    (delivery,) = deliveries.due("pacs", 4e9)
    assert (delivery.attempts, delivery.refusals, delivery.accepted) == (0, 0, {"1.2.3"})


def test_a_home_of_version_1_is_brought_up_to_date(home):
    """A home of the version before has neither refusals nor accepted objects."""
    old = Database(home)
    with old.transaction() as connection:
        for table, column in (
            ("deliveries", "refusals"),
            ("deliveries", "accepted"),
            ("instances", "pixel_meaning"),
        ):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("PRAGMA user_version=1")
    old.close()
    database = Database(home)
    assert database.rows("SELECT refusals, accepted FROM deliveries") == []
    database.close()
