import fcntl
import json
import resource
import threading

import pytest
from dicom_maker import hounsfield, write_slice

from tamperscan.errors import OutputError, ServeError
from tamperscan.serve.dicomweb.access import Access
from tamperscan.serve.dicomweb.client import Client
from tamperscan.serve.dicomweb.find import FoundSeries
from tamperscan.serve.dicomweb.pull import RECORD, pull_series, short_name

FOUND = FoundSeries("1.2", "1.2.3", "CT")
INSTANCES = [f"1.2.3.{number}" for number in range(5)]


@pytest.fixture
def files(tmp_path):
    """What the archive holds, by SOP instance UID."""
    volume = hounsfield(5)
    names = {"StudyInstanceUID": FOUND.study, "SeriesInstanceUID": FOUND.series}
    return {
        uid: write_slice(tmp_path / "archive" / f"{uid}.dcm", plane, SOPInstanceUID=uid, **names).read_bytes()
        for uid, plane in zip(INSTANCES, volume, strict=True)
    }


@pytest.fixture
def serving(archive, files):
    """The archive, giving these files."""

    def answer(request):
        path = request.path.split("?")[0]
        if path.endswith("/instances"):
            listed = [] if "offset=0" not in request.path else INSTANCES
            return 200, {}, json.dumps([{"00080018": {"vr": "UI", "Value": [uid]}} for uid in listed]).encode()
        content = files[path.rsplit("/", 1)[1]]
        if content is None:
            return 503, {}, b""
        body = b"--mark\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--mark--"
        return 200, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=mark'}, body

    archive.answer_with = answer
    return archive


def pull(archive, out, **options):
    with Client(archive.url, Access(attempts=1)) as client:
        return pull_series(client, FOUND, out, **options)


def fetched(archive):
    return [one for one in archive.requests if "/instances/" in one.path]


def test_files_arrive_byte_for_byte(serving, files, tmp_path):
    pulled = pull(serving, tmp_path / "out")
    assert (pulled.instances, pulled.fetched, pulled.whole) == (5, 5, True)
    for uid, content in files.items():
        assert (pulled.folder / f"{short_name(uid)}.dcm").read_bytes() == content
    assert fetched(serving)[0].headers["Accept"].endswith("transfer-syntax=*")


def test_names_hold_nothing_of_what_the_archive_says(serving, tmp_path):
    pulled = pull(serving, tmp_path / "out")
    assert pulled.folder.parent == tmp_path / "out"
    assert all(len(path.stem) == 32 for path in pulled.folder.glob("*.dcm"))


def test_the_record_says_what_it_is(serving, tmp_path):
    pulled = pull(serving, tmp_path / "out")
    record = json.loads((pulled.folder / RECORD).read_text())
    assert (record["study"], record["series"], record["instances"], record["whole"]) == ("1.2", "1.2.3", 5, True)


def test_a_second_run_fetches_nothing(serving, tmp_path):
    pull(serving, tmp_path / "out")
    serving.requests.clear()
    assert pull(serving, tmp_path / "out").fetched == 0
    assert fetched(serving) == []


def test_a_run_that_broke_off_is_taken_up(serving, files, tmp_path):
    whole, files[INSTANCES[2]] = files[INSTANCES[2]], None
    pulled = pull(serving, tmp_path / "out")
    assert not pulled.whole
    assert "answered 503" in pulled.problems[0]
    files[INSTANCES[2]] = whole
    serving.requests.clear()
    assert pull(serving, tmp_path / "out").fetched == 1
    assert len(fetched(serving)) == 1


def test_what_a_killed_run_left_is_taken_away(serving, tmp_path):
    folder = pull(serving, tmp_path / "out").folder
    (folder / ".abc.part").write_bytes(b"rest")
    pull(serving, tmp_path / "out")
    assert not (folder / ".abc.part").exists()


def test_another_instance_than_asked_for_is_refused(serving, files, tmp_path):
    files[INSTANCES[0]] = files[INSTANCES[1]]
    pulled = pull(serving, tmp_path / "out")
    assert "gave another instance" in pulled.problems[0]
    assert not (pulled.folder / f"{short_name(INSTANCES[0])}.dcm").exists()


def test_what_is_no_dicom_file_is_refused(serving, files, tmp_path):
    files[INSTANCES[0]] = b"<html>please log in</html>"
    pulled = pull(serving, tmp_path / "out")
    assert "gave no DICOM file" in pulled.problems[0]
    assert len(list(pulled.folder.glob("*.dcm"))) == 4


def test_an_instance_that_is_too_large_is_refused(serving, tmp_path, monkeypatch):
    monkeypatch.setattr("tamperscan.serve.dicomweb.fetch.LARGEST_INSTANCE", 500)
    pulled = pull(serving, tmp_path / "out")
    assert "more than 500 bytes" in pulled.problems[0]
    assert list(pulled.folder.glob(".*.part")) == []


def test_each_arrival_is_told_before_it_counts(serving, tmp_path):
    seen = []
    pulled = pull(serving, tmp_path / "out", arrived=lambda found, uid, file: seen.append((uid, file.suffix)))
    assert sorted(seen) == [(uid, ".part") for uid in INSTANCES]
    assert pulled.whole


def test_two_pulls_of_one_series_do_not_mix(serving, tmp_path):
    folder = pull(serving, tmp_path / "out").folder
    with (folder / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ServeError, match="another pull is at work"):
            pull(serving, tmp_path / "out")


def test_a_folder_that_can_not_be_written_is_told(serving, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(OutputError):
        pull(serving, tmp_path / "out")


def test_a_disk_that_takes_no_more_is_told_and_leaves_nothing(serving, tmp_path):
    pull(serving, tmp_path / "out")
    folder = pull(serving, tmp_path / "out").folder
    for path in folder.glob("*.dcm"):
        path.unlink()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # no file may be larger, as on a full disk
    try:
        with pytest.raises(OutputError, match="can't be written"):
            pull(serving, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in folder.iterdir()) == [".lock", RECORD]


def test_no_threads_are_left(serving, tmp_path):
    before = threading.active_count()
    pull(serving, tmp_path / "out")
    assert threading.active_count() <= before + 5  # the server's own
