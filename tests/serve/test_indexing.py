"""What a crash between two steps leaves is put right by the next start."""

import json
import time

import pytest
from pydicom import dcmread
from pydicom.uid import RLELossless
from received_images import an_image, receive

from tamperscan.errors import OutputError
from tamperscan.serve import digester
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.grouping import Grouper
from tamperscan.serve.indexing import Indexer
from tamperscan.serve.rules import Rules
from tamperscan.serve.settings import NodeSettings

RULES = Rules(quiet={"seconds": 60}, rules=[{"name": "all", "when": {"modality": "CT"}}])


@pytest.fixture
def indexer(home, database):
    return Indexer(database, RULES, AuditLog(home.audit_log))


def rows(database):
    return database.rows("SELECT * FROM instances ORDER BY id")


def edited(image, **values):
    for keyword, value in values.items():
        setattr(image, keyword, value)
    return image


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


@pytest.mark.parametrize(
    "change", [{"RescaleIntercept": "-500"}, {"RescaleSlope": "2"}, {"PhotometricInterpretation": "MONOCHROME1"}]
)
def test_the_same_pixel_data_with_other_values_is_another_image(home, database, indexer, change):
    receive(home, an_image(), "a")
    receive(home, edited(an_image(), **change), "b")
    indexer.index()
    assert [(row["state"], row["version"]) for row in rows(database)] == [("waiting", 0), ("waiting", 1)]
    assert events(home) == ["received", "received", "conflict"]
    assert '"difference":"other values"' in home.audit_log.read_text()


def test_a_known_digest_tells_the_same_pixels_also_where_the_file_is_gone(home, database, indexer):
    first = receive(home, an_image(), "a")
    indexer.index()
    indexer.digest()
    image = dcmread(first)
    image.compress(RLELossless, generate_instance_uid=False)
    with database.transaction() as connection:
        connection.execute("UPDATE instances SET kept = 0")
    first.unlink()
    receive(home, image, "b")
    indexer.index()
    assert [row["state"] for row in rows(database)] == ["waiting", "duplicate"]


def test_a_corrected_name_makes_no_other_image(home, database, indexer):
    receive(home, an_image(), "a")
    receive(home, edited(an_image(), PatientName="Other^Name"), "b")
    indexer.index()
    assert [row["state"] for row in rows(database)] == ["waiting", "duplicate"]


def test_an_image_in_another_series_is_screened_there_too(home, database, indexer):
    receive(home, an_image(), "a")
    receive(home, edited(an_image(), SeriesInstanceUID="1.2.3"), "b")
    receive(home, edited(an_image(), SeriesInstanceUID="1.2.3", PatientName="Other^Name"), "c")
    indexer.index()
    assert [(row["state"], row["version"]) for row in rows(database)] == [
        ("waiting", 0),
        ("waiting", 0),
        ("duplicate", 0),
    ]
    assert events(home) == ["received", "received", "other-series", "received"]


def test_an_object_without_pixels_that_is_corrected_raises_no_alarm(home, database, indexer):
    for name in ("a", "b"):
        report = edited(an_image(), Modality="SR", PatientName=name)
        del report.PixelData
        receive(home, report, name)
    indexer.index()
    assert [(row["state"], row["version"]) for row in rows(database)] == [("waiting", 0), ("waiting", 0)]
    assert events(home) == ["received", "received", "other-header"]


def test_pixels_that_unpack_to_too_much_are_told_and_not_decoded(home, database, indexer):
    receive(home, edited(an_image(), NumberOfFrames=2**30), "a")
    indexer.index()
    assert indexer.digest()
    assert not indexer.digest()
    assert rows(database)[0]["decoded_digest"] == "none"
    assert "unpacks to more than 512 MiB" in home.audit_log.read_text().splitlines()[-1]


def test_what_ends_the_process_that_decodes_is_tried_once(home, database, indexer, monkeypatch):
    monkeypatch.setattr(digester, "PATIENCE", 0.0)
    receive(home, an_image(), "a")
    indexer.index()
    assert indexer.digest()
    assert not indexer.digest()
    assert "takes too long" in home.audit_log.read_text().splitlines()[-1]


def test_a_crash_while_decoding_is_not_repeated(home, database, indexer, monkeypatch):
    receive(home, an_image(), "a")
    indexer.index()
    monkeypatch.setattr(digester.Digester, "decoded", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        indexer.digest()
    assert not Indexer(database, RULES, AuditLog(home.audit_log)).digest()


def test_a_digest_that_can_not_be_audited_is_taken_later(home, database, indexer):
    receive(home, an_image(), "a")
    indexer.index()
    home.audit_log.rename(home.root / "aside")
    home.audit_log.mkdir()
    with pytest.raises(OutputError):
        indexer.digest()
    home.audit_log.rmdir()
    assert indexer.digest()
    assert events(home)[-1] == "digested"


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
