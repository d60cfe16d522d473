"""A node that knows its peers, has little room, and keeps no images; and one that speaks TLS alone."""

import contextlib
import shutil
import socket
import ssl
import struct
import subprocess

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from raw_peer import RawPeer, store_command

from tamperscan.bench.node_instances import write_series
from tamperscan.bench.node_process import NodeProcess, free_port
from tamperscan.serve.database import Database
from tamperscan.serve.store import OUT_OF_RESOURCES

QUOTA_GIB = 0.002


@pytest.fixture(scope="module")
def report_port():
    return free_port()


@pytest.fixture(scope="module")
def strict(archive, report_port, tmp_path_factory):
    peers = [
        {"ae_title": "SCANNER*", "address": "127.0.0.0/8"},
        {"ae_title": "ASKER", "report_to": f"127.0.0.1:{report_port}"},
        {"ae_title": "FARAWAY", "address": "192.0.2.0/24"},
    ]
    destination = {"kind": "dicom", "host": "127.0.0.1", "port": archive.port, "ae_title": archive.ae_title}
    rules = {
        "node": {"peers": peers, "quota_gib": QUOTA_GIB, "receivers": 1},
        "quiet": {"seconds": 0.5},
        "destinations": {"archive": destination},
        "rules": [
            {"name": "ct", "when": {"modality": "CT"}, "send_to": "archive", "keep_originals": False},
            {"name": "rest", "screen": False},
        ],
    }
    with NodeProcess(tmp_path_factory.mktemp("strict"), rules) as running:
        yield running


@pytest.fixture(scope="module")
def ledger(strict):
    opened = Database(strict.home)
    yield opened
    opened.close()


@pytest.mark.parametrize("calling", ["STRANGER", "FARAWAY"])
def test_whom_it_does_not_know_it_rejects(strict, calling):
    peer = RawPeer(strict.port, calling=calling)
    assert peer.kind == 3
    assert peer.answer == bytes((0, 1, 1, 3))  # permanent, by the user, calling AE title not recognized
    peer.close()


def test_images_go_when_their_results_are_delivered(strict, ledger, send, wait_for, tmp_path):
    series = write_series(tmp_path / "s", slices=3, side=32, seed=3)
    send(strict.port, list(series.files.values()))
    question = "SELECT kept FROM instances WHERE series_uid = ?"
    wait_for(lambda: [row["kept"] for row in ledger.rows(question, (series.series_uid,))] == [0, 0, 0])
    wait_for(lambda: not list(strict.home.spool.iterdir()))
    assert ledger.row("SELECT 1 FROM deliveries d JOIN jobs j ON j.id = d.job WHERE d.state = 'done'")
    assert not list(strict.home.sources.iterdir())


def test_who_gave_an_address_is_called_back_about_storage_commitment(strict, send, report_port, wait_for, tmp_path):
    from pynetdicom import AE, evt
    from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

    passing = write_series(tmp_path / "passing", slices=1, side=32, seed=4)
    staying = write_series(tmp_path / "staying", slices=1, side=32, seed=5, modality="OT")
    uids = [next(iter(one.files)) for one in (passing, staying)]
    send(strict.port, [path for one in (passing, staying) for path in one.files.values()], calling="ASKER")
    reports = []
    listener = AE(ae_title="ASKER")
    listener.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, lambda event: (reports.append(event.event_information), (0, None))[1])]
    server = listener.start_server(("127.0.0.1", report_port), block=False, evt_handlers=handlers)
    entity = AE(ae_title="ASKER")
    entity.add_requested_context(StorageCommitmentPushModel)
    association = entity.associate("127.0.0.1", strict.port, ae_title="TAMPERSCAN")
    request = Dataset()
    request.TransactionUID, request.ReferencedSOPSequence = generate_uid(), []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        request.ReferencedSOPSequence.append(item)
    status, _ = association.send_n_action(request, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    association.release()
    assert status.Status == 0
    wait_for(lambda: reports)
    server.shutdown()
    # What the rules have the node delete is never committed to.
    assert [item.ReferencedSOPInstanceUID for item in reports[0].FailedSOPSequence] == [uids[0]]
    assert [item.ReferencedSOPInstanceUID for item in reports[0].ReferencedSOPSequence] == [uids[1]]


def test_when_the_quota_is_used_up_it_refuses_and_keeps_nothing_of_it(strict, ledger, send, tmp_path):
    series = write_series(tmp_path / "large", slices=8, side=512, seed=6, modality="OT")
    statuses = send(strict.port, list(series.files.values()))
    assert statuses[0] == 0
    assert statuses[-1] == OUT_OF_RESOURCES
    taken = sum(path.stat().st_size for path in strict.home.spool.iterdir())
    assert taken <= QUOTA_GIB * 2**30
    kept = ledger.row("SELECT COUNT(*) AS n FROM instances WHERE kept = 1 AND size > 100000")
    assert kept["n"] == statuses.count(0)


def test_what_has_no_end_is_not_read_to_its_end(tmp_path, image, wait_for):
    rules = {"node": {"receivers": 1, "largest_gib": 1e-4}, "rules": [{"name": "none", "screen": False}]}
    with NodeProcess(tmp_path, rules) as node:
        peer = RawPeer(node.port)
        peer.send(store_command(image.SOPInstanceUID), command=True)
        with contextlib.suppress(OSError):
            peer.send(bytes(2**20), command=False, whole=False)
        wait_for(lambda: "larger than is taken" in node.home.audit_log.read_text())
        assert peer.is_ended()
        peer.close()
        assert not list(node.home.spool.iterdir())


def test_a_pdu_that_is_too_long_is_not_read(tmp_path, wait_for):
    with NodeProcess(tmp_path, {"node": {"receivers": 1}, "rules": [{"name": "none", "screen": False}]}) as node:
        peer = RawPeer(node.port)
        peer.socket.sendall(struct.pack(">BBI", 4, 0, 2**32 - 1) + bytes(100))
        assert peer.is_ended()
        peer.close()
        wait_for(lambda: "a PDU longer than is taken" in node.home.audit_log.read_text())
        stranger = socket.create_connection(("127.0.0.1", node.port), timeout=10)
        stranger.sendall(struct.pack(">BBI", 1, 0, 2**31))
        with contextlib.suppress(OSError):
            assert stranger.recv(100) == b""
        stranger.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("node", "client"):
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        words += ["-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"]
        subprocess.run(["openssl", *words, *files], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def encrypted(archive, certificates, tmp_path_factory):
    tls = {
        name: str(certificates / file)
        for name, file in (("certificate", "node.pem"), ("key", "node.key"), ("clients", "client.pem"))
    }
    rules = {"node": {"tls": tls, "receivers": 1}, "rules": [{"name": "none", "screen": False}]}
    with NodeProcess(tmp_path_factory.mktemp("tls"), rules) as running:
        yield running


def test_tls_lets_in_whom_the_authority_vouches_for(encrypted, certificates, send, tmp_path):
    context = ssl.create_default_context(cafile=certificates / "node.pem")
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    series = write_series(tmp_path / "tls", slices=2, side=32, seed=8)
    statuses = send(encrypted.port, list(series.files.values()), tls_args=(context, "127.0.0.1"))
    assert statuses == [0, 0]
    (first, *_) = encrypted.home.spool.glob("*.dcm")
    assert dcmread(first).SOPInstanceUID in series.files


def test_tls_turns_away_strangers_and_plain_text(encrypted, certificates, dcmtk):
    from pynetdicom import AE
    from pynetdicom.sop_class import Verification

    entity = AE()
    entity.acse_timeout = 5
    entity.add_requested_context(Verification)
    stranger = ssl.create_default_context(cafile=certificates / "node.pem")
    association = entity.associate("127.0.0.1", encrypted.port, ae_title="TAMPERSCAN", tls_args=(stranger, "127.0.0.1"))
    assert not association.is_established
    assert dcmtk("echoscu", "-to", "5", "-ta", "5", "-aec", "TAMPERSCAN", "127.0.0.1", encrypted.port).returncode != 0
