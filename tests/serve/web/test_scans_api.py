import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

from tamperscan.data import sample_path
from tamperscan.scan.places import Place
from tamperscan.serve.compare import State, StudyDigests


def upload(page, *files):
    return page.client.post("/api/scans", files=[("file", file) for file in files])


def events(page):
    return [json.loads(line) for line in page.home.audit_log.read_text().splitlines()]


def sample(name="study/7478_73.dcm"):
    return name, sample_path().read_bytes()


def test_scan_is_queued(page):
    answer = upload(page, sample("study/1.dcm"), sample("study/2.dcm"))
    job = page.queue.job(answer.json()["id"])
    assert answer.status_code == 201
    assert (job.state, job.origin, job.model, job.modality, job.title) == ("queued", "page", "ct", "CT", "study")
    assert job.study_uid.startswith("1.3.6.1.4.1.14519")
    assert len(list(page.home.uploads.iterdir())) == 1
    *received, line = events(page)
    assert (line["event"], line["job"], line["images"]) == ("uploaded", job.id, 2)
    assert {one["event"] for one in received} == {"received"}


def test_an_upload_can_be_compared_with_an_archives_copy(page):
    job = page.queue.job(upload(page, sample("1.dcm")).json()["id"])
    digests = StudyDigests(page.home.audit_log, job.study_uid)
    (one,) = digests.compare([Place(str(sample_path()))])
    assert one.state is State.UNCHANGED


def test_same_scan_twice_is_two_jobs(page):
    assert upload(page, sample()).json()["id"] != upload(page, sample()).json()["id"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", b"hello"), ("a.dcm", b"hello"), ("a.zip", b"PK\x03\x04"), ("<b>.dcm", b"\0" * 200)]
)
def test_what_is_no_scan_is_refused(page, name, content):
    answer = upload(page, (name, content))
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("There is no scan in this upload")
    assert str(page.home.root) not in answer.text
    assert not list(page.home.uploads.iterdir())
    assert page.queue.count() == 0
    assert [line["event"] for line in events(page)] == ["refused"]


def speak(page, head):
    """Send the beginning of a request, and read the answer while nothing more is sent."""
    with socket.create_connection((urlsplit(page.url).hostname, urlsplit(page.url).port), timeout=10) as connection:
        connection.sendall(head)
        return connection.recv(4096)


def test_five_gigabytes_are_refused_before_they_come(page):
    head = (
        b"POST /api/scans HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5368709120\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    )
    assert b" 413 " in speak(page, head).splitlines()[0]


def test_what_grows_too_large_is_refused_on_the_way(start):
    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.dcm"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 65536

    with start(upload_limit=2**20) as page:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        try:
            answer = page.client.post("/api/scans", content=endless(), headers=headers)
            assert answer.status_code == 413
            assert "1 MiB" in answer.json()["detail"]
        except httpx.TransportError:
            pass  # the server has said no and hung up while we were still sending
        assert not list(page.home.uploads.iterdir())


def test_not_a_form(page):
    answer = page.client.post("/api/scans", content=b"{}", headers={"Content-Type": "application/json"})
    assert answer.status_code == 415


def test_upload_from_another_site_is_refused(page):
    answer = page.client.post("/api/scans", files={"file": sample()}, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert not list(page.home.uploads.iterdir())


def test_uploads_at_once(page):
    def send(_):
        with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
            return client.post("/api/scans", files={"file": sample()}).status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(send, range(4))) == [201] * 4
    assert page.queue.count() == 4
