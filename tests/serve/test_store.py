from io import BytesIO

import pytest

pytest.importorskip("pynetdicom")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode
from raw_peer import CT, EXPLICIT, MR

from tamperscan.serve.admission import Room
from tamperscan.serve.database import Database
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.spool import Ledger
from tamperscan.serve.store import DOES_NOT_MATCH, OUT_OF_RESOURCES, SOP_CLASS_NOT_SUPPORTED, Arrival, Store

IMPLICIT, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"


@pytest.fixture
def store(home):
    ledger, limits = Ledger(home, durable=False), NodeSettings(keep_free_gib=0, largest_gib=1e-6)
    yield Store(home, limits, ledger, Room(home, limits, lambda: 0))
    ledger.close()


def encoded(syntax=EXPLICIT, uid="1.2.3.4"):
    dataset = Dataset()
    dataset.SpecificCharacterSet, dataset.SOPClassUID, dataset.SOPInstanceUID = "ISO_IR 100", CT, uid
    dataset.PatientName = "A^B"
    return encode(dataset, syntax == IMPLICIT, syntax != BIG_ENDIAN, syntax == DEFLATED)


def arrival(content, *, syntax=EXPLICIT, sop_class=CT, uid="1.2.3.4"):
    return Arrival(sop_class, uid, CT, syntax, BytesIO(content), "SCANNER", "NODE", "127.0.0.1")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_what_is_taken_is_a_file_and_a_row(store, home, syntax):
    assert store.take(arrival(encoded(syntax), syntax=syntax)) is None
    database = Database(home)
    (row,) = database.rows("SELECT * FROM instances")
    database.close()
    assert dcmread(home.spool / row["file"]).SOPInstanceUID == row["sop_uid"] == "1.2.3.4"


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_a_data_set_of_another_object_is_refused(store, home, syntax):
    assert store.take(arrival(encoded(syntax, uid="1.2.3.5"), syntax=syntax)).status == DOES_NOT_MATCH
    assert not list(home.spool.iterdir())


def test_another_class_than_agreed_on_is_refused(store):
    assert store.take(arrival(encoded(), sop_class=MR)).status == SOP_CLASS_NOT_SUPPORTED


def test_what_is_too_large_is_refused(store, home):
    assert store.take(arrival(encoded() + bytes(2000))).status == OUT_OF_RESOURCES
    assert not list(home.spool.iterdir())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.binary(max_size=100), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_any_bytes_are_kept_or_refused(store, content, syntax):
    for damaged in (content, encoded(syntax)[:20] + content):
        refusal = store.take(arrival(damaged, syntax=syntax))
        assert refusal is None or refusal.status == DOES_NOT_MATCH


def test_uids_are_looked_for_where_they_stand_and_no_further(home, store, monkeypatch):
    flood = b"\x08\0\1\0LO\0\0" * 40_000
    looked_at = []
    monkeypatch.setattr(
        "tamperscan.serve.store.read_dataset", lambda content, *_, **__: looked_at.append(content.read())
    )
    store._settings = store._settings.model_copy(update={"largest_gib": 1.0})
    store.take(arrival(flood + encoded()))
    assert [len(content) for content in looked_at] == [2**16]
