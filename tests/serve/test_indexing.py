"""What a crash between two steps leaves is put right by the next start."""

import json
import time

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless, generate_uid

from tamperscan.bench.node_instances import make_image
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.database import Database
from tamperscan.serve.grouping import Grouper
from tamperscan.serve.home import Home
from tamperscan.serve.indexing import Indexer
from tamperscan.serve.rules import Rules
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.spool import Ledger, Receipt

RULES = Rules(quiet={"seconds": 60}, rules=[{"name": "all", "when": {"modality": "CT"}}])
STUDY, SERIES = generate_uid(), generate_uid()


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
def indexer(home, database):
    return Indexer(database, RULES, AuditLog(home.audit_log))


def receive(home, image, name, arrived=None):
    """Put an image into spool and ledger, as a receiver would."""
    path = home.spool / f"{name}.dcm"
    image.save_as(path, enforce_file_format=True)
    ledger = Ledger(home)
    meta = (str(image.SOPClassUID), str(image.SOPInstanceUID), str(image.file_meta.TransferSyntaxUID))
    when = time.time() if arrived is None else arrived
    ledger.enter(Receipt(path.name, name, path.stat().st_size, *meta, "CT1", "NODE", "127.0.0.1", when)).result()
    ledger.close()
    return path


def an_image(index=0, seed=0):
    uid = f"{SERIES[:50]}.{index}"
    return make_image(STUDY, SERIES, uid, index=index, side=8, generator=np.random.default_rng(seed))


def rows(database):
    return database.rows("SELECT * FROM instances ORDER BY id")


def events(home):
    return [json.loads(line)["event"] for line in home.audit_log.read_text().splitlines()]


def test_a_crash_between_audit_and_ledger_tells_nothing_twice(home, database, indexer):
    receive(home, an_image(), "a")
    indexer.index()
    with database.transaction() as connection:
        connection.execute("UPDATE instances SET state = 'received', study_uid = ''")
    Indexer(database, RULES, AuditLog(home.audit_log)).index()
    assert events(home) == ["received"]
    assert rows(database)[0]["state"] == "waiting"


def test_the_same_pixels_in_another_lossless_encoding_are_the_same_image(home, database, indexer):
    receive(home, an_image(), "a")
    image = dcmread(home.spool / "a.dcm")
    image.compress(RLELossless, generate_instance_uid=False)
    receive(home, image, "b")
    indexer.index()
    assert [row["state"] for row in rows(database)] == ["waiting", "duplicate"]
    assert not (home.spool / "b.dcm").exists()


def test_other_pixels_within_one_batch_are_noticed(home, database, indexer):
    receive(home, an_image(seed=0), "a")
    receive(home, an_image(seed=1), "b")
    receive(home, an_image(seed=1), "c")
    indexer.index()
    assert [(row["state"], row["version"]) for row in rows(database)] == [
        ("waiting", 0),
        ("waiting", 1),
        ("duplicate", 0),
    ]
    assert events(home).count("conflict") == 1


def test_an_image_that_only_says_it_is_a_result_of_ours_is_screened_all_the_same(home, database, indexer):
    disguised = an_image()
    disguised.Manufacturer = "tamperscan"
    receive(home, disguised, "a")
    secondary = an_image(1)
    secondary.Manufacturer, secondary.Modality = "tamperscan", "OT"
    receive(home, secondary, "b")
    indexer.index()
    assert [row["state"] for row in rows(database)] == ["waiting", "own"]


def test_a_missing_or_damaged_file_is_told_and_holds_up_nothing(home, database, indexer):
    receive(home, an_image(0), "gone").unlink()
    receive(home, an_image(1), "damaged").write_bytes(b"\0" * 500)
    receive(home, an_image(2), "good")
    indexer.index()
    assert [row["state"] for row in rows(database)] == ["unreadable", "unreadable", "waiting"]


def test_the_decoded_digest_follows_when_there_is_time(home, database, indexer):
    receive(home, an_image(), "a")
    indexer.index()
    assert indexer.digest()
    assert not indexer.digest()
    assert len(rows(database)[0]["decoded_digest"]) == 64
    assert events(home) == ["received", "digested"]


def test_a_series_waits_until_its_study_is_quiet(home, database, indexer):
    now = time.time()
    receive(home, an_image(0), "a", arrived=now - 100)
    indexer.index()
    grouper = Grouper(database, RULES, started=now - 1000)
    receive(home, an_image(1), "b", arrived=now - 80)  # not looked into yet: it may be of this study
    assert grouper.close_quiet() == 0
    indexer.index()
    assert Grouper(database, RULES, started=now).close_quiet() == 0  # senders need time after a crash
    assert grouper.close_quiet() == 1
    (job,) = database.rows("SELECT * FROM jobs")
    assert sorted(path.name for path in home.source_folder(job["id"]).iterdir()) == ["a.dcm", "b.dcm"]


def test_a_crash_between_folder_and_job_makes_both_anew(home, database, indexer):
    receive(home, an_image(0), "a", arrived=1.0)
    indexer.index()
    grouper = Grouper(database, RULES, started=0.0)
    grouper.close_quiet()
    with database.transaction() as connection:
        for table in ("job_instances", "jobs"):
            connection.execute(f"DELETE FROM {table}")
        connection.execute("UPDATE instances SET state = 'waiting'")
    grouper.close_quiet()
    grouper.close_quiet()
    (job,) = database.rows("SELECT * FROM jobs")
    assert [path.name for path in home.source_folder(job["id"]).iterdir()] == ["a.dcm"]
    assert len(list(home.sources.iterdir())) == 1


@pytest.mark.parametrize("asked", [False, True])
def test_patients_are_named_in_the_audit_trail_only_where_that_is_asked_for(home, database, asked):
    rules = RULES.model_copy(update={"node": NodeSettings(patient_names=asked)})
    receive(home, an_image(), "one")
    Indexer(database, rules, AuditLog(home.audit_log)).index()
    trail = home.audit_log.read_text()
    assert ("Synthetic^Patient" in trail) == asked
    assert ('"S1"' in trail) == asked
