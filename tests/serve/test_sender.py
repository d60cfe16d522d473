"""Deliveries, with a clock of their own: a receiver that is away for a day, and one that refuses."""

import pytest

pytest.importorskip("pynetdicom")

import numpy as np
from pydicom.uid import generate_uid

from tamperscan.bench.node_instances import make_image
from tamperscan.bench.node_process import Archive
from tamperscan.scan.forged import REMARK
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.database import Database
from tamperscan.serve.deliveries import GIVE_UP_SECONDS, Deliveries, retry_dead
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Queue
from tamperscan.serve.rules import Rules
from tamperscan.serve.sender import Sender
from tamperscan.serve.settings import DicomDestination, StowDestination

DAY = 86400.0


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def database(home):
    opened = Database(home)
    yield opened
    opened.close()


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
    image = make_image(*(generate_uid() for _ in "abc"), index=0, side=8, generator=np.random.default_rng())
    for name, value in facts.items():
        setattr(image, name, value)
    folder = home.result_folder(job.id) / "dicom"
    folder.mkdir(parents=True)
    image.save_as(folder / "result.dcm", enforce_file_format=True)
    queue.claim("ct")
    queue.finish(job.id, verdict="clear", score=None, p_value=None)
    return job.id, str(image.SOPInstanceUID)


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
    assert tries == 24  # one receiver, one try at a time, however many deliveries wait
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


def test_sending_twice_is_the_same_object_again(home, database, deliveries, sender, archive):
    """A crash after the sending and before the note of it."""
    _, uid = done_job(home, database)
    deliveries.plan()
    with archive:
        sender.deliver_due(planned_at(database))
        with database.transaction() as connection:
            connection.execute("UPDATE deliveries SET state = 'waiting'")
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
