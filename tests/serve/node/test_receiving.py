"""What comes in: by DCMTK's programs, by pynetdicom, and by a peer that keeps to no rules."""

import json
import re
import socket

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, generate_uid
from raw_peer import ABORT, CT, MR, RawPeer, store_command

from tamperscan.serve.store import DOES_NOT_MATCH, INVALID_INSTANCE, SOP_CLASS_NOT_SUPPORTED

PRIVATE = "1.2.826.0.1.3680043.8.498.99999"


def of_uid(database, uid):
    return database.rows("SELECT * FROM instances WHERE sop_uid = ?", (str(uid),))


def audited(node, event):
    lines = [json.loads(line) for line in node.home.audit_log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_echoscu_is_answered(node, dcmtk):
    assert dcmtk("echoscu", "-aec", "TAMPERSCAN", "127.0.0.1", node.port).returncode == 0


def test_a_wrong_ae_title_is_rejected_and_audited(node, dcmtk):
    outcome = dcmtk("echoscu", "-aet", "WRONG1", "-aec", "OTHER", "127.0.0.1", node.port)
    assert outcome.returncode != 0
    assert "Called AE Title Not Recognized" in outcome.stderr
    assert any(line["sender"] == "WRONG1" for line in audited(node, "refused"))


def test_storescu_series_is_in_the_ledger_when_it_ends(node, dcmtk, series, database):
    folder = next(iter(series.files.values())).parent
    assert dcmtk("storescu", "+sd", "-aec", "TAMPERSCAN", "127.0.0.1", node.port, folder).returncode == 0
    for uid, path in series.files.items():
        (row,) = of_uid(database, uid)
        kept = dcmread(node.home.spool / row["file"])
        assert kept.PixelData == dcmread(path).PixelData
        assert kept.PatientName == "Synthetic^Patient"
        assert uid not in row["file"]


def test_every_proposed_transfer_syntax_is_taken_as_it_is(node, dcmtk, series, database, tmp_path):
    path = next(iter(series.files.values()))
    image = dcmread(path)
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.compress(JPEG2000Lossless)
    compressed = tmp_path / "compressed.dcm"
    image.save_as(compressed)
    sent = dcmtk("storescu", "-xv", "-aec", "TAMPERSCAN", "127.0.0.1", node.port, compressed)
    assert sent.returncode == 0
    (row,) = of_uid(database, image.SOPInstanceUID)
    assert row["transfer_syntax"] == JPEG2000Lossless


def test_an_unknown_sop_class_is_refused_when_it_is_proposed(node):
    peer = RawPeer(node.port, abstract=PRIVATE)
    assert peer.kind == 2
    assert re.search(rb"\x21\x00..\x01\x00\x03\x00", peer.answer, re.DOTALL)  # context 1: abstract syntax not supported
    peer.close()


def test_another_sop_class_than_agreed_on_is_refused(node, image):
    peer = RawPeer(node.port)
    assert peer.store(image.SOPInstanceUID, image.encoded, MR) == SOP_CLASS_NOT_SUPPORTED
    assert peer.store(image.SOPInstanceUID, image.encoded) == 0  # the association lives on
    peer.close()


def test_an_unknown_sop_class_in_a_context_of_another_ends_the_association(node, image, database):
    peer = RawPeer(node.port)
    peer.send(store_command(image.SOPInstanceUID, PRIVATE), command=True)
    peer.send(image.encoded, command=False)
    assert peer.read()[0] == ABORT
    peer.close()
    assert not of_uid(database, image.SOPInstanceUID)


def test_a_uid_with_path_characters_is_refused_and_makes_no_file(node, image):
    peer = RawPeer(node.port)
    for uid in ("../../../../tmp/evil", "1.2/3", "1.2.\\3", "1" * 70):
        # A backslash parts two values: the first of them is a UID, and another than that of the data set.
        assert peer.store(uid, image.encoded) == (DOES_NOT_MATCH if "\\" in uid else INVALID_INSTANCE)
    peer.close()
    assert not list(node.home.root.rglob("*evil*"))


def test_a_data_set_that_is_another_object_is_refused(node, image):
    peer = RawPeer(node.port)
    assert peer.store(generate_uid(), image.encoded) == DOES_NOT_MATCH
    peer.close()


def test_path_characters_in_other_uids_make_no_file(node, image, database, wait_for):
    from pynetdicom.dsutils import encode

    image.StudyInstanceUID = "../../../../tmp/evil"
    peer = RawPeer(node.port)
    assert peer.store(image.SOPInstanceUID, encode(image, False, True)) == 0
    peer.close()
    wait_for(lambda: of_uid(database, image.SOPInstanceUID)[0]["state"] == "unreadable")
    assert not list(node.home.root.rglob("*evil*"))


def test_an_instance_that_breaks_off_leaves_nothing(node, image, database, wait_for):
    peer = RawPeer(node.port)
    peer.send(store_command(image.SOPInstanceUID), command=True)
    peer.send(image.encoded + bytes(20000), command=False, whole=False)
    peer.close()
    wait_for(lambda: any(line.get("instance") == image.SOPInstanceUID for line in audited(node, "refused")))
    assert not list(node.home.spool.glob(".*.part"))
    assert not of_uid(database, image.SOPInstanceUID)


@pytest.mark.parametrize(
    "content",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff",
        b"\x01\x00\x00\x00\x00\x02ab",
        b"\x04\x00\x00\x00\x00\x02ab",
        bytes(100),
    ],
)
def test_what_is_no_dicom_ends_the_connection(node, content):
    with socket.create_connection(("127.0.0.1", node.port), timeout=10) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1000):
            pass


def test_damaged_messages_end_the_association_alone(node, image, dcmtk):
    for damage in (
        b"\x04\0\0\0\0\x08\0\0\xff\xff\x01\x03ab",
        b"\x04\0\0\0\0\x0a\0\0\0\x06\x01\x03abcd",
        b"\x09\0\0\0\0\0",
    ):
        peer = RawPeer(node.port)
        peer.socket.sendall(damage)
        assert peer.is_ended()
        peer.close()
    assert dcmtk("echoscu", "-aec", "TAMPERSCAN", "127.0.0.1", node.port).returncode == 0


def test_the_same_again_is_kept_once(node, send, series, database, wait_for):
    files = list(series.files.values())
    assert send(node.port, files + files) == [0] * 8
    uid = next(iter(series.files))
    wait_for(lambda: {row["state"] for row in of_uid(database, uid)} >= {"duplicate"})
    rows = of_uid(database, uid)
    assert sorted(row["kept"] for row in rows) == [0, 1]
    gone = next(row for row in rows if not row["kept"])
    wait_for(lambda: not (node.home.spool / gone["file"]).exists())


def test_other_pixels_under_a_known_uid_are_kept_apart_and_reported(node, send, series, database, wait_for, tmp_path):
    files = list(series.files.values())
    send(node.port, files)
    altered = dcmread(files[1])
    altered.PixelData = np.zeros(32 * 32, "<i2").tobytes()
    altered.save_as(tmp_path / "altered.dcm")
    assert send(node.port, [tmp_path / "altered.dcm"], calling="SOMEONE") == [0]
    uid = altered.SOPInstanceUID
    wait_for(lambda: {row["version"] for row in of_uid(database, uid)} == {0, 1})
    assert all((node.home.spool / row["file"]).exists() for row in of_uid(database, uid))
    assert any(line["instance"] == uid and line["sender"] == "SOMEONE" for line in audited(node, "conflict"))
    question = "SELECT * FROM jobs WHERE series_uid = ? AND version = 1"
    (job,) = wait_for(lambda: database.rows(question, (series.series_uid,)))
    assert "are other images" in job["note"]
    assert len(list(node.home.source_folder(job["id"]).iterdir())) == 4


def test_twenty_senders_at_once(node, send, tmp_path, database, wait_for):
    from concurrent.futures import ThreadPoolExecutor

    from tamperscan.bench.node_instances import write_series

    many = [write_series(tmp_path / f"{n}", slices=3, side=32, seed=n, modality="OT") for n in range(20)]
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(lambda one: send(node.port, list(one.files.values())), many))
    assert outcomes == [[0, 0, 0]] * 20
    assert all(len(of_uid(database, uid)) == 1 for one in many for uid in one.files)
    wait_for(lambda: of_uid(database, next(iter(many[0].files)))[0]["state"] == "ignored")  # no rule is for OT


def test_no_patient_is_named_in_logs(node):
    assert CT  # what the tests above sent had a name in it
    for log in (node.log, node.home.audit_log):
        assert "Synthetic" not in log.read_text()
        assert "Patient" not in log.read_text()
