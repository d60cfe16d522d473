"""Encrypted connections to receivers that ask who calls, and credentials that must not be seen on the way."""

import shutil
import ssl
import subprocess

import pytest

pytest.importorskip("pynetdicom")

import numpy as np
from pydantic import ValidationError
from pynetdicom import AE, evt
from pynetdicom.sop_class import CTImageStorage, StorageCommitmentPushModel

from tamperscan.bench.node_instances import make_image
from tamperscan.serve.database import Database
from tamperscan.serve.home import Home
from tamperscan.serve.reports import Reports
from tamperscan.serve.sending import UnreachableError, read_outgoing, send_by_store
from tamperscan.serve.settings import DicomDestination, NodeSettings, Peer, StowDestination


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """Gives the PEM file of a name: ``node.pem``, ``node.key``, ``pacs.pem``, ``pacs.key``, ``locked.key``."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("node", "pacs"):
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
        words += ["-addext", "subjectAltName=IP:127.0.0.1"]
        openssl(*words, "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem")
    openssl("rsa", "-aes128", "-passout", "pass:secret", "-in", folder / "node.key", "-out", folder / "locked.key")
    return lambda name: folder / name


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def pacs(pem):
    """A receiver that lets in only whom its authority vouches for: its port, and what it got."""
    got = []

    def take(event):
        got.append(event)
        return 0

    def hear(event):
        got.append(event)
        return 0, None

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem("pacs.pem"), pem("pacs.key"))
    context.load_verify_locations(pem("node.pem"))
    context.verify_mode = ssl.CERT_REQUIRED
    entity = AE(ae_title="PACS")
    entity.add_supported_context(CTImageStorage)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_C_STORE, take), (evt.EVT_N_EVENT_REPORT, hear)]
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
    yield server.server_address[1], got
    server.shutdown()


@pytest.fixture
def outgoing(tmp_path):
    image = make_image("1.2", "1.3", "1.4", index=0, side=8, generator=np.random.default_rng())
    image.save_as(tmp_path / "result.dcm", enforce_file_format=True)
    return read_outgoing(tmp_path / "result.dcm")


def destination(port, **facts):
    return DicomDestination(kind="dicom", host="127.0.0.1", port=port, ae_title="PACS", tls=True, **facts)


def test_a_receiver_that_asks_for_a_certificate_gets_it(pacs, pem, outgoing):
    port, got = pacs
    known = destination(port, trust=pem("pacs.pem"), certificate=pem("node.pem"), key=pem("node.key"))
    assert list(send_by_store(known, [outgoing], calling="NODE")) == [(outgoing, "")]
    assert len(got) == 1


def test_a_receiver_that_nobody_vouches_for_gets_nothing(pacs, pem, outgoing):
    port, got = pacs
    strange = destination(port, trust=pem("node.pem"), certificate=pem("node.pem"), key=pem("node.key"))
    with pytest.raises(UnreachableError):
        list(send_by_store(strange, [outgoing], calling="NODE"))
    assert not got


@pytest.mark.parametrize(
    ("certificate", "key"),
    [
        ("node.pem", None),
        (None, "node.key"),
        ("node.pem", "pacs.key"),
        ("node.key", "node.key"),
        ("node.pem", "locked.key"),
    ],
)
def test_certificates_that_do_not_fit_are_told_with_the_rules(pem, certificate, key):
    with pytest.raises(ValidationError, match="certificate"):
        destination(1, certificate=certificate and pem(certificate), key=key and pem(key))


def test_storage_commitment_is_reported_over_tls(pacs, pem, tmp_path):
    port, got = pacs
    home = Home(tmp_path / "home")
    home.prepare()
    database = Database(home)
    with database.transaction() as connection:
        connection.execute("INSERT INTO commitments (transaction_uid, sender, objects) VALUES ('1.2', 'PACS', '[]')")
    settings = NodeSettings(
        peers=({"report_to": f"127.0.0.1:{port}", "report_tls": True, "report_trust": pem("pacs.pem")},),
        tls={"certificate": pem("node.pem"), "key": pem("node.key")},
    )
    assert Reports(database, settings).report_due(1e9) == 1
    assert len(got) == 1
    database.close()


def test_trust_without_encryption_is_told(pem):
    with pytest.raises(ValidationError, match="tls: true"):
        DicomDestination(kind="dicom", host="h", port=1, ae_title="X", trust=pem("pacs.pem"))
    with pytest.raises(ValidationError, match="report_tls"):
        Peer(report_to="h:1", report_trust=pem("pacs.pem"))
    with pytest.raises(ValidationError, match="report_to"):
        Peer(report_tls=True)


@pytest.mark.parametrize(
    "url", ["https://me:secret@pacs.example/dicom-web", "https://pacs.example/x?y=1", "http://", "ftp://pacs.example"]
)
def test_an_address_that_is_none_or_holds_a_password_is_told(url):
    with pytest.raises(ValidationError) as caught:
        StowDestination(kind="stow", url=url)
    assert "secret" not in str(caught.value.errors()[0]["msg"])


@pytest.fixture
def secret(tmp_path):
    (tmp_path / "secret").write_text("word")
    return tmp_path / "secret"


def test_a_user_needs_a_password_and_a_password_a_user(secret):
    for half in ({"user": "me"}, {"password_file": secret}):
        with pytest.raises(ValidationError, match="Give both"):
            StowDestination(kind="stow", url="https://pacs.example", **half)


def test_credentials_cross_no_network_unencrypted_unless_told(secret):
    for credentials in ({"token_file": secret}, {"user": "me", "password_file": secret}):
        with pytest.raises(ValidationError, match="in_clear"):
            StowDestination(kind="stow", url="http://pacs.example", **credentials)
        for url in ("https://pacs.example", "http://127.0.0.1:8042/dicom-web", "http://localhost"):
            assert StowDestination(kind="stow", url=url, **credentials).url == url
        assert StowDestination(kind="stow", url="http://pacs.example", in_clear=True, **credentials).in_clear
