import asyncio
import os
import resource

import pytest

from tamperscan.serve.home import Home
from tamperscan.serve.queue import Queue
from tamperscan.serve.web import form_files, uploads
from tamperscan.serve.web.form_files import UploadError
from tamperscan.serve.web.uploads import check_announced, clear_away, in_words, receive

BOUNDARY = b"frontier"
FORM = "multipart/form-data; boundary=frontier"


def form(*files: tuple[str, bytes]) -> bytes:
    parts = [
        b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in files
    ]
    return b"".join(parts) + b"--frontier--\r\n"


def send(folder, body, *, limit=10**6, size=7):
    async def pieces():
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return asyncio.run(receive(pieces(), BOUNDARY, folder, limit))


def contents(received):
    return {path.name: path.read_bytes() for path in received.source.iterdir()}


def test_files_arrive_whole_under_names_of_ours(tmp_path):
    received = send(tmp_path, form(("study/a.dcm", b"first\r\n--front"), ("study/b.NII.gz", b"second")))
    assert contents(received) == {"000001.dcm": b"first\r\n--front", "000002.nii.gz": b"second"}
    assert (received.title, received.size) == ("study", 20)
    assert list(tmp_path.iterdir()) == [received.folder]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\x.dcm", "a/../../b.dcm", "%2e%2e/x", "x" * 500]
)
def test_names_lead_nowhere(tmp_path, name):
    received = send(tmp_path, form((name, b"x")))
    (file,) = received.source.iterdir()
    assert file.name.startswith("000001")
    assert received.folder.parent == tmp_path


def test_hidden_files_are_left_out(tmp_path):
    received = send(tmp_path, form(("s/.DS_Store", b"x"), ("s/DICOMDIR", b"x"), ("s/a.dcm", b"y")))
    assert contents(received) == {"000001.dcm": b"y"}


def test_too_much_is_refused_by_counting(tmp_path):
    with pytest.raises(UploadError, match="1000 bytes") as refused:
        send(tmp_path, form(("a.dcm", b"x" * 5000)), limit=1000)
    assert refused.value.status == 413
    assert not list(tmp_path.iterdir())


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(form_files, "MOST_FILES", 3)
    with pytest.raises(UploadError, match="3 files"):
        send(tmp_path, form(*[(f"{number}.dcm", b"x") for number in range(4)]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form",
        form()[:-4],
        form(("a", b"x"))[:-30],
        b"--frontier\r\n" + b"a" * 9000,
        form(("", b"x")),
        b"--wrong\r\n\r\n",
    ],
)
def test_damaged_or_empty_is_refused(tmp_path, body):
    with pytest.raises(UploadError) as refused:
        send(tmp_path, body)
    assert refused.value.status == 400
    assert not list(tmp_path.iterdir())


def test_nothing_stays_of_what_breaks_off(tmp_path):
    async def broken():
        yield form(("a.dcm", b"x" * 100))[:80]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(receive(broken(), BOUNDARY, tmp_path, 1000))
    assert not list(tmp_path.iterdir())


def test_what_stalls_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "PATIENCE", 0.05)

    async def stalled():
        yield form(("a.dcm", b"x" * 100))[:80]
        await asyncio.sleep(60)

    with pytest.raises(UploadError) as refused:
        asyncio.run(receive(stalled(), BOUNDARY, tmp_path, 1000))
    assert refused.value.status == 408
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "length", "status"),
    [
        (FORM, "5368709120", 413),
        ("application/json", "10", 415),
        ("", "", 415),
        (FORM, "-1", 400),
        (FORM, "\u0661", 400),
    ],
)
def test_refused_by_its_headers(tmp_path, kind, length, status):
    with pytest.raises(UploadError) as refused:
        check_announced(kind, length, tmp_path, 2**31)
    assert refused.value.status == status


def test_full_disk_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "KEPT_FREE", 2**60)
    with pytest.raises(UploadError) as refused:
        check_announced(FORM, "10", tmp_path, 2**31)
    assert refused.value.status == 507


def test_a_disk_that_others_fill_meanwhile_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "LOOK_BYTES", 1000)
    monkeypatch.setattr(uploads, "KEPT_FREE", 2**60)
    with pytest.raises(UploadError) as refused:
        send(tmp_path, form(("a.dcm", b"x" * 5000)))
    assert refused.value.status == 507
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_is_told(tmp_path):
    # No file of this process may become longer, which a full disk answers alike.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(UploadError, match="can't take this") as refused:
            send(tmp_path, form(("a.dcm", b"x" * 300_000)), size=2**16)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert refused.value.status == 507
    assert not list(tmp_path.iterdir())


def test_leavings_of_yesterday_that_no_job_names_are_cleared_away(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    for name in ("incoming-old", "unnamed-old", "unnamed-new", "named-old"):
        (home.uploads / name).mkdir()
        if name.endswith("old"):
            os.utime(home.uploads / name, (0, 0))
    queue = Queue(home)
    queue.add("a", origin="page", model="ct", source=str(home.uploads / "named-old" / "upload"))
    queue.database.close()
    clear_away(home)
    assert sorted(path.name for path in home.uploads.iterdir()) == ["named-old", "unnamed-new"]


def test_sizes_in_words():
    assert [in_words(size) for size in (1000, 2**31, 3 * 2**19)] == ["1000 bytes", "2 GiB", "1.5 MiB"]
