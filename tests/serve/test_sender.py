"""Deliveries, with a clock of their own: a receiver that is away for a day, and one that refuses."""

import time

import pytest

pytest.importorskip("pynetdicom")

import numpy as np
from pydicom.uid import ParametricMapStorage, SecondaryCaptureImageStorage, generate_uid

from tamperscan.bench.node_instances import make_image
from tamperscan.bench.node_process import Archive
from tamperscan.scan.forged import REMARK
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.database import Database
from tamperscan.serve.deliveries import GIVE_UP_SECONDS, MOST_REFUSALS, Deliveries, retry_dead
from tamperscan.serve.queue import Queue
from tamperscan.serve.rules import Rules
from tamperscan.serve.sender import Sender
from tamperscan.serve.settings import DicomDestination, StowDestination

DAY = 86400.0


@pytest.fixture
def archive():
    return Archive()


@pytest.fixture
def rules(archive):
    pacs = DicomDestination(kind="dicom", host="127.0.0.1", port=archive.port, ae_title=archive.ae_title)
    return Rules(destinations={"pacs": pacs}, rules=[{"name": "all", "send_to": "pacs"}])


@pytest.fixture
def deliveries(database, rules, home):
    return Deliveries(database, rules, AuditLog(home.audit_log))


@pytest.fixture
def sender(home, rules, deliveries):
    audit = AuditLog(home.audit_log)
    pacs = rules.destinations["pacs"]
    return Sender("pacs", pacs, calling="NODE", home=home, deliveries=deliveries, audit=audit)


def done_job(home, database, key="a", **facts):
    """A job that is done, with one DICOM result."""
    queue = Queue(home, database)
    job = queue.add(key, origin="node", model="ct", source="x", rule="all")
    uid = add_result(home, job.id, "result.dcm", **facts)
    queue.claim("ct")
    queue.finish(job.id, verdict="clear", score=None, p_value=None)
    return job.id, uid


def add_result(home, job, name, **facts):
    image = make_image(*(generate_uid() for _ in "abc"), index=0, side=8, generator=np.random.default_rng())
    for keyword, value in facts.items():
        setattr(image, keyword, value)
    folder = home.result_folder(job) / "dicom"
    folder.mkdir(parents=True, exist_ok=True)
    image.save_as(folder / name, enforce_file_format=True)
    return str(image.SOPInstanceUID)


def the_result(home, job):
    return home.result_folder(job) / "dicom" / "result.dcm"


def states(database):
    return [row["state"] for row in database.rows("SELECT state FROM deliveries ORDER BY id")]


def planned_at(database):
    return database.row("SELECT MIN(planned) AS p FROM deliveries")["p"]


def test_a_receiver_that_is_away_for_a_day_gets_everything_once(home, database, deliveries, sender, archive):
    uids = [done_job(home, database, key)[1] for key in "abc"]
    deliveries.plan()
    start = planned_at(database)
    tries = 0
    for minute in range(0, 24 * 60, 60):
        before = sum(row["attempts"] for row in database.rows("SELECT attempts FROM deliveries"))
        assert sender.deliver_due(start + 60 * minute) == 0
        tries += sum(row["attempts"] for row in database.rows("SELECT attempts FROM deliveries")) - before
    assert states(database) == ["waiting"] * 3
    assert tries == 24 + 2  # one try at a time, however many deliveries wait; the first counts for all of them
    with archive:
        for minute in range(60):
            sender.deliver_due(start + DAY + 60 * minute)
    assert states(database) == ["done"] * 3
    assert {uid: len(times) for uid, times in archive.received.items()} == dict.fromkeys(uids, 1)


def test_a_receiver_that_never_comes_back_leaves_dead_letters_that_can_be_tried_again(
    home, database, deliveries, sender, archive
):
    done_job(home, database)
    deliveries.plan()
    sender.deliver_due(planned_at(database) + GIVE_UP_SECONDS + 1)
    assert states(database) == ["dead"]
    assert retry_dead(database) == 1
    with archive:
        assert sender.deliver_due(planned_at(database) + 10 * DAY) == 1
    assert states(database) == ["done"]


def test_what_is_forged_is_never_sent(home, database, deliveries, sender, archive):
    done_job(home, database, SeriesDescription=REMARK)
    deliveries.plan()
    with archive:
        sender.deliver_due(planned_at(database))
    assert states(database) == ["refused"]
    assert not archive.received
    assert "forged" in home.audit_log.read_text()


def test_an_object_that_the_receiver_refuses_is_tried_again_and_then_given_up(
    home, database, deliveries, sender, archive
):
    done_job(home, database)
    deliveries.plan()
    archive._take = lambda event: 0xC000
    now = planned_at(database)
    with archive:
        for hour in range(10):
            sender.deliver_due(now + 3600 * hour)
    assert states(database) == ["dead"]
    assert "C000" in database.row("SELECT error FROM deliveries")["error"]


def test_a_receiver_gets_the_kinds_of_results_that_it_asks_for(home, database, deliveries, rules, archive):
    job, _ = done_job(home, database, SOPClassUID=ParametricMapStorage)
    key_image = add_result(home, job, "key_image_01.dcm", SOPClassUID=SecondaryCaptureImageStorage)
    deliveries.plan()
    old = rules.destinations["pacs"].model_copy(update={"results": ("report", "key-images")})
    audit = AuditLog(home.audit_log)
    with archive:
        sender = Sender("pacs", old, calling="NODE", home=home, deliveries=deliveries, audit=audit)
        assert sender.deliver_due(planned_at(database)) == 1
    assert set(archive.received) == {key_image}
    assert states(database) == ["done"]


def test_sending_twice_is_the_same_object_again(home, database, deliveries, sender, archive):
    """A crash after the sending and before the note of it."""
    _, uid = done_job(home, database)
    deliveries.plan()
    with archive:
        sender.deliver_due(planned_at(database))
        with database.transaction() as connection:
            connection.execute("UPDATE deliveries SET state = 'waiting', accepted = ''")
        sender.deliver_due(planned_at(database))
    assert len(archive.received[uid]) == 2
    assert len(set(archive.received[uid])) == 1


def test_a_web_archive_that_is_away_waits_like_any_other(home, database, deliveries):
    done_job(home, database)
    deliveries.plan()
    web = StowDestination(kind="stow", url="http://127.0.0.1:9/dicom-web")
    audit = AuditLog(home.audit_log)
    sender = Sender("pacs", web, calling="NODE", home=home, deliveries=deliveries, audit=audit)
    assert sender.deliver_due(planned_at(database)) == 0
    assert states(database) == ["waiting"]
    assert database.row("SELECT attempts FROM deliveries")["attempts"] == 1


def test_an_object_at_which_the_receiver_breaks_off_holds_up_nothing_else(
    home, database, deliveries, sender, archive, monkeypatch
):
    job, poison = done_job(home, database, "a")
    beside = add_result(home, job, "second.dcm")
    deliveries.plan()
    _, after = done_job(home, database, "b")
    deliveries.plan()
    take = archive._take

    def take_or_break_off(event):
        if event.dataset.SOPInstanceUID == poison:
            event.assoc.abort()
        return take(event)

    monkeypatch.setattr(archive, "_take", take_or_break_off)
    now = planned_at(database)
    with archive:
        assert sender.deliver_due(now) == 1
        assert states(database) == ["waiting", "done"]
        assert archive.received.keys() >= {beside, after}
        for hour in range(1, 9):
            sender.deliver_due(now + 3600 * hour)
    assert states(database) == ["dead", "done"]
    assert "broke off" in database.row("SELECT error FROM deliveries")["error"]
    assert len(archive.received[beside]) == 1


def test_only_what_is_missing_is_sent_again_and_audited_once(home, database, deliveries, sender, archive, monkeypatch):
    job, refused = done_job(home, database)
    taken = add_result(home, job, "second.dcm")
    deliveries.plan()
    take, now = archive._take, planned_at(database)
    monkeypatch.setattr(
        archive, "_take", lambda event: 0xC000 if event.dataset.SOPInstanceUID == refused else take(event)
    )
    with archive:
        sender.deliver_due(now)
    monkeypatch.setattr(archive, "_take", take)
    with archive:
        assert sender.deliver_due(now + 3600) == 1
    assert {uid: len(times) for uid, times in archive.received.items()} == {refused: 1, taken: 1}
    trail = home.audit_log.read_text()
    assert [trail.count(uid) for uid in (refused, taken)] == [1, 1]


def test_a_file_that_can_not_be_read_is_tried_again_and_forgets_no_image(home, database, deliveries, sender, archive):
    job, _ = done_job(home, database)
    deliveries.plan()
    _, other = done_job(home, database, "b")
    deliveries.plan()
    now, whole = planned_at(database), the_result(home, job).read_bytes()
    the_result(home, job).write_bytes(whole[:100])
    with archive:
        assert sender.deliver_due(now) == 1
        assert states(database) == ["waiting", "done"]
        assert "no whole DICOM object" in database.row("SELECT error FROM deliveries")["error"]
        the_result(home, job).write_bytes(whole)
        assert sender.deliver_due(now + 3600) == 1
    assert other in archive.received


def test_an_audit_log_that_can_not_be_written_for_a_moment_costs_no_delivery(
    home, database, deliveries, sender, archive
):
    done_job(home, database)
    deliveries.plan()
    now = planned_at(database)
    home.audit_log.rename(home.root / "kept")
    home.audit_log.mkdir()  # no log can be opened there
    with archive:
        assert sender.deliver_due(now) == 0
        assert states(database) == ["waiting"]
        home.audit_log.rmdir()
        (home.root / "kept").rename(home.audit_log)
        assert sender.deliver_due(now + 3600) == 1
    assert states(database) == ["done"]


def test_a_day_out_of_reach_does_not_count_as_refusals(home, database, deliveries, sender, archive, monkeypatch):
    done_job(home, database)
    deliveries.plan()
    now = planned_at(database)
    for hour in range(MOST_REFUSALS + 1):
        sender.deliver_due(now + 3600 * hour)
    monkeypatch.setattr(archive, "_take", lambda event: 0xA700)
    with archive:
        sender.deliver_due(now + DAY)
    assert states(database) == ["waiting"]


def test_a_retry_by_another_process_is_tried_at_once(home, database, deliveries, sender, archive):
    done_job(home, database)
    deliveries.plan()
    now = planned_at(database)
    sender.deliver_due(now)
    with archive:
        assert sender.deliver_due(now + 1) == 0
        other = Database(home)
        retry_dead(other)
        other.close()
        assert sender.deliver_due(now + 2) == 1


def test_one_try_is_enough_to_know_that_nothing_is_owed(home, database, deliveries, sender):
    """What a drain waits for."""
    done_job(home, database, "a")
    done_job(home, database, "b")
    deliveries.plan()
    assert sender.is_owed_a_try()
    sender.deliver_due(time.time())
    done_job(home, database, "c")
    deliveries.plan()
    assert not sender.is_owed_a_try()
    sender.try_now()
    assert sender.is_owed_a_try()
