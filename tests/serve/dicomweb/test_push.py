import json
from email import message_from_bytes
from email.policy import HTTP

import pytest
from dicom_maker import write_slice

from tamperscan.errors import OutputError, ScanError, ServeError
from tamperscan.scan.forged import REMARK
from tamperscan.serve.dicomweb import push
from tamperscan.serve.dicomweb.access import Access
from tamperscan.serve.dicomweb.push import stow


@pytest.fixture
def files(tmp_path):
    return [write_slice(tmp_path / f"{number}.dcm", SOPInstanceUID=f"1.2.{number}") for number in range(3)]


def said(stored=(), failed=()):
    """An archive's answer in the DICOM JSON model."""

    def one(uid, reason=None):
        named = {"00081155": {"vr": "UI", "Value": [uid]}}
        return named | ({"00081197": {"vr": "US", "Value": [reason]}} if reason is not None else {})

    return {
        "00081199": {"vr": "SQ", "Value": [one(uid) for uid in stored]},
        "00081198": {"vr": "SQ", "Value": [one(uid, reason) for uid, reason in failed]},
    }


def send(archive, files, **access):
    return stow(archive.url, files, access=Access(attempts=2, **access))


def parts(request):
    """The files of a request, taken apart by Python's own reader of mail."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.body, policy=HTTP)
    return [part.get_payload(decode=True) for part in message.iter_parts()]


def test_files_are_sent_as_they_are(archive, files):
    archive.will_answer(200, said(stored=["1.2.0", "1.2.1", "1.2.2"]))
    assert [one.problem for one in send(archive, files)] == [""] * 3
    (request,) = archive.requests
    assert (request.method, request.path) == ("POST", "/dicom-web/studies")
    assert len(request.body) == int(request.headers["Content-Length"])
    for file in files:
        assert file.read_bytes() in request.body
    assert len(parts(request)) == 3


def test_failed_instances_are_told_and_the_others_go_on(archive, files):
    archive.will_answer(202, said(stored=["1.2.0", "1.2.2"], failed=[("1.2.1", 0xC122)]))
    problems = [one.problem for one in send(archive, files)]
    assert problems == ["", "the archive does not take its transfer syntax (0xC122)", ""]


def test_what_the_archive_has_already_is_stored(archive, files):
    archive.will_answer(409, said(failed=[(f"1.2.{number}", 0x0111) for number in range(3)]))
    assert [one.problem for one in send(archive, files)] == [""] * 3


def test_all_failed(archive, files):
    archive.will_answer(409, said(failed=[(f"1.2.{number}", 0xA700) for number in range(3)]))
    assert all("no room" in one.problem for one in send(archive, files))


@pytest.mark.parametrize(
    "body", [b"", b"<NativeDicomModel/>", b"[]", b'{"00081198": 7}', b'{"00081199": {"Value": [7]}}']
)
def test_a_success_without_words_is_a_success(archive, files, body):
    archive.will_answer(200, body)
    assert [one.problem for one in send(archive, files)] == [""] * 3


def test_a_half_success_without_words_is_none(archive, files):
    archive.will_answer(202, b"<NativeDicomModel/>")
    assert all("did not say" in one.problem for one in send(archive, files))


def test_requests_stay_small(archive, files, monkeypatch):
    monkeypatch.setattr(push, "MOST_IN_REQUEST", 2)
    archive.will_answer(200)
    told = []
    stow(archive.url, files, access=Access(), progress=lambda done, total: told.append((done, total)))
    assert [len(parts(request)) for request in archive.requests] == [2, 1]
    assert told == [(2, 3), (3, 3)]
    monkeypatch.setattr(push, "LARGEST_REQUEST", 100)
    archive.requests.clear()
    send(archive, files)
    assert len(archive.requests) == 3


def test_an_overloaded_archive_gets_it_again(archive, files, no_pauses):
    archive.will_answer(503)
    archive.will_answer(200, said(stored=["1.2.0", "1.2.1", "1.2.2"]))
    assert [one.problem for one in send(archive, files)] == [""] * 3
    assert parts(archive.requests[0]) == parts(archive.requests[1])


def test_a_refused_request_is_told(archive, files):
    archive.will_answer(415, b"what is this")
    with pytest.raises(ServeError, match="415 Unsupported Media Type: what is this"):
        send(archive, files)


def test_forged_images_never_leave(archive, files, tmp_path):
    forged = write_slice(tmp_path / "forged.dcm", SeriesDescription=f"{REMARK}: gan")
    archive.will_answer(200)
    with pytest.raises(OutputError, match="forged"):
        send(archive, [*files, forged])
    assert archive.requests == []


def test_what_is_no_dicom_file_never_leaves(archive, files, tmp_path):
    (tmp_path / "note.dcm").write_text("a note")
    archive.will_answer(200)
    with pytest.raises(ScanError):
        send(archive, [*files, tmp_path / "note.dcm"])
    assert archive.requests == []


def test_a_token_goes_along(archive, files):
    archive.will_answer(200, json.loads(json.dumps(said(stored=["1.2.0"]))))
    send(archive, files[:1], token="secret")
    assert archive.requests[0].headers["Authorization"] == "Bearer secret"


def test_nothing_to_send_asks_nothing(archive):
    assert stow(archive.url, [], access=Access()) == []
    assert archive.requests == []
