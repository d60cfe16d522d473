import base64
import socket
import time

import pytest

from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.access import Access
from tamperscan.serve.dicomweb.client import Client


def asked(archive, **access):
    with Client(archive.url, Access(**access)) as client:
        return client.get_json("/studies", {"PatientID": "7"})


def refused(archive, **access):
    with pytest.raises(ServeError) as error:
        asked(archive, **access)
    return str(error.value)


def test_json_is_asked_for_and_read(archive):
    archive.will_answer(200, [{"a": 1}])
    assert asked(archive) == [{"a": 1}]
    (request,) = archive.requests
    assert request.path == "/dicom-web/studies?PatientID=7"
    assert request.headers["Accept"] == "application/dicom+json"
    assert "Authorization" not in request.headers


def test_nothing_found(archive):
    archive.will_answer(204)
    assert asked(archive) is None


def test_a_token_is_sent(archive):
    archive.will_answer(200, [])
    asked(archive, token="secret", user="node", password="x")
    assert archive.requests[0].headers["Authorization"] == "Bearer secret"


def test_a_user_and_password_are_sent(archive):
    archive.will_answer(200, [])
    asked(archive, user="node", password="secret")
    kind, value = archive.requests[0].headers["Authorization"].split()
    assert (kind, base64.b64decode(value)) == ("Basic", b"node:secret")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_archive_is_asked_again(archive, no_pauses, status):
    archive.will_answer(status)
    archive.will_answer(status)
    archive.will_answer(200, [])
    assert asked(archive) == []
    assert len(archive.requests) == 3
    assert 0 < no_pauses[0] < no_pauses[1]


def test_an_archive_says_how_long_to_wait(archive, no_pauses):
    archive.will_answer(503, Retry_After="7")
    archive.will_answer(503, Retry_After="1000000")
    archive.will_answer(200, [])
    asked(archive)
    assert no_pauses == [7, 30]


def test_an_archive_that_stays_overloaded_is_told(archive, no_pauses):
    archive.will_answer(503)
    assert "answered 503 Service Unavailable (tried 4 times)" in refused(archive)
    assert len(archive.requests) == 4


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "other credentials"), (403, "does not allow"), (404, "Check the address"), (302, "sends elsewhere")],
)
def test_a_refusal_is_told_at_once(archive, status, words):
    archive.will_answer(status, Location="http://elsewhere.example/")
    assert words in refused(archive, token="secret")
    assert len(archive.requests) == 1


def test_what_an_archive_says_is_told_as_plain_text(archive):
    archive.will_answer(400, b"no such\x1b[31m\r\nkey" + b"x" * 1000)
    message = refused(archive)
    assert "no such[31mkey" in message
    assert len(message) < 500


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000, b"\xff"])
def test_an_answer_that_is_not_json_is_told(archive, body):
    archive.will_answer(200, body)
    assert "did not answer in JSON" in refused(archive)


def test_an_endless_answer_is_cut(archive, monkeypatch):
    monkeypatch.setattr("tamperscan.serve.dicomweb.client.LARGEST_ANSWER", 1000)
    archive.will_answer(200, b" " * 100_000)
    assert "larger than 1000 bytes" in refused(archive)


def test_an_answer_that_breaks_off_is_asked_for_again(archive, no_pauses):
    archive.will_answer(200, b"[", Content_Length="100")
    archive.will_answer(200, [])
    assert asked(archive) == []


def test_no_archive_there(no_pauses):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with (
        Client(url, Access(attempts=2)) as client,
        pytest.raises(ServeError, match=r"connection failed.*tried 2 times"),
    ):
        client.get_json("/studies", {})


def test_an_archive_that_says_nothing(no_pauses):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with (
            Client(url, Access(attempts=2, timeout_s=0.2)) as client,
            pytest.raises(ServeError, match="no answer within"),
        ):
            client.get_json("/studies", {})
    assert time.monotonic() - began < 5


def test_https_asked_of_http_is_told(archive, no_pauses):
    archive.will_answer(200, [])
    with (
        Client(archive.url.replace("http:", "https:"), Access()) as client,
        pytest.raises(ServeError, match="http or https"),
    ):
        client.get_json("/studies", {})


@pytest.mark.parametrize("content", ["", "nothing"])
def test_certificates_that_are_none_are_told(tmp_path, content):
    (tmp_path / "ca.pem").write_text(content)
    with pytest.raises(ServeError, match=r"ca\.pem: certificates can't be read"):
        Client("https://pacs.example", Access(ca_file=tmp_path / "ca.pem"))


def test_proxies_of_the_environment_are_not_used(archive, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    archive.will_answer(200, [])
    assert asked(archive) == []
