import pytest
from pydicom import dcmread

from tamperscan.serve.admission import (
    ADDRESS_UNKNOWN,
    CALLED_UNKNOWN,
    CALLING_UNKNOWN,
    Room,
    kept_bytes,
    why_rejected,
)
from tamperscan.serve.database import Database
from tamperscan.serve.leftovers import clear_leftovers, clear_parts
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.spool import Incoming, Ledger, Receipt, file_meta

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
ELEMENT = b"\x08\x00\x18\x00UI\x06\x001.2.3\0"


def kept_file(home):
    one = incoming(home)
    name, digest, size = one.name()
    one.close()
    return name, digest, size


def incoming(home):
    one = Incoming(home, CT, "1.2.3", EXPLICIT)
    one.write(memoryview(ELEMENT))
    return one


def receipt(name, digest, size):
    return Receipt(name, digest, size, CT, "1.2.3", EXPLICIT, "SCANNER", "NODE", "127.0.0.1", 1.0)


def test_a_file_is_what_a_dicom_reader_expects(home):
    name, _, size = kept_file(home)
    path = home.spool / name
    assert path.stat().st_size == size
    dataset = dcmread(path)
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == "1.2.3"
    assert dataset.file_meta.TransferSyntaxUID == EXPLICIT
    assert len(file_meta(CT, "1.2.3", EXPLICIT)) % 2 == 0


def test_the_same_twice_is_two_files_of_one_digest(home):
    first, second = kept_file(home), kept_file(home)
    assert first[0] != second[0]
    assert first[1] == second[1] == first[0].partition("-")[0]


def test_what_is_abandoned_leaves_nothing(home):
    one = incoming(home)
    assert list(home.spool.iterdir())
    one.abandon()
    one.abandon()
    assert not list(home.spool.iterdir())


def test_what_is_entered_is_in_the_ledger_and_survives_the_clearing(home, database):
    ledger = Ledger(home)
    kept = kept_file(home)
    ledger.enter(receipt(*kept)).result()
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.enter(receipt(*kept)).result()
    unknown = kept_file(home)[0]
    incoming(home)
    assert clear_leftovers(home, database) == 2
    assert [path.name for path in home.spool.iterdir()] == [kept[0]]
    assert unknown != kept[0]
    assert kept_bytes(database) == kept[2]
    ledger.close()


@pytest.mark.parametrize("damage", ["gone", "short", "zeros"])
def test_a_row_whose_file_is_not_whole_counts_for_nothing_any_more(home, database, damage):
    """A power cut between row and file: the instance was not acknowledged, and comes again."""
    ledger = Ledger(home)
    good, torn = kept_file(home), kept_file(home)
    for one in (good, torn):
        ledger.enter(receipt(*one)).result()
    ledger.close()
    path = home.spool / torn[0]
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:-4] if damage == "short" else content[:-4] + bytes(4))
    clear_leftovers(home, database)
    assert [(row["file"] == good[0], row["kept"]) for row in database.rows("SELECT * FROM instances ORDER BY id")] == [
        (True, 1),
        (False, 0),
    ]
    assert [one.name for one in home.spool.iterdir()] == [good[0]]


def test_a_receipt_is_taken_back(home, database):
    ledger = Ledger(home)
    one = receipt(*kept_file(home))
    ledger.enter(one).result()
    ledger.withdraw(one)
    assert not database.rows("SELECT 1 FROM instances")
    ledger.close()


def test_only_a_dead_receivers_parts_are_cleared(home):
    one = incoming(home)
    clear_parts(home, 1)
    assert list(home.spool.iterdir())
    one.abandon()


def test_the_quota_counts_what_was_kept_since_it_was_asked_for(home):
    room = Room(home, NodeSettings(quota_gib=1e-6, keep_free_gib=0), used=lambda: 500)
    assert room.why_full(500) == ""
    room.add(400)
    assert room.why_full(500) == "the quota is used up"


def test_what_is_to_stay_free_is_not_taken(home):
    assert Room(home, NodeSettings(keep_free_gib=1e9), used=lambda: 0).why_full() == "the disk is full"
    assert Room(home, NodeSettings(keep_free_gib=0), used=lambda: 0).why_full() == ""


@pytest.mark.parametrize(
    ("called", "calling", "address", "rejection"),
    [
        ("OTHER", "CT1", "10.0.0.1", CALLED_UNKNOWN),
        ("NODE", "MR1", "10.0.0.1", CALLING_UNKNOWN),
        ("NODE", "CT1", "11.0.0.1", ADDRESS_UNKNOWN),
        ("NODE", "CT1", "10.0.0.1", None),
    ],
)
def test_callers_are_let_in_by_title_and_address(called, calling, address, rejection):
    settings = NodeSettings(ae_title="NODE", peers=[{"ae_title": "CT1", "address": "10.0.0.0/8"}])
    assert why_rejected(called, calling, address, settings) is rejection


def test_a_database_of_a_later_version_is_left_alone(home, database):
    with database.transaction() as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(Exception, match="later version"):
        Database(home)
