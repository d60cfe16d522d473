import os
import zipfile

from archive_maker import make_series

from tamperscan.archive.headers import read_headers
from tamperscan.archive.places import Place, sources_of


def headers_of(folder):
    return read_headers(Place("folder", str(folder)), tuple(sorted(os.listdir(folder))))  # noqa: PTH208


def test_files_of_a_series(tmp_path):
    headers = headers_of(make_series(tmp_path, "1.2.3", 3))
    assert [entry.series for entry in headers.entries] == ["1.2.3"] * 3
    assert headers.entries[0].voxel_bytes == 20 * 24 * 4
    assert not headers.unreadable


def test_what_is_wrong_with_files_is_told(tmp_path):
    (tmp_path / "dead.dcm").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "junk.dcm").write_bytes(b"junk")
    told = {one.path.rpartition("/")[2]: one.problem for one in headers_of(tmp_path).unreadable}
    assert "dead link" in told["dead.dcm"]
    assert "symbolic links" in told["loop"]
    assert "neither a file" in told["pipe"]
    assert "not a DICOM" in told["junk.dcm"]


def test_other_files_are_passed_over(tmp_path):
    (tmp_path / "read.txt").write_text("hello")
    make_series(tmp_path, "1.2.3", 1, Modality="SR")
    headers = headers_of(tmp_path)
    assert (headers.entries, headers.unreadable, headers.passed_over) == ((), (), 2)


def test_names_need_not_be_unicode(tmp_path):
    (make_series(tmp_path, "1.2.3", 1) / "IM0000.dcm").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.dcm"))
    (entry,) = headers_of(tmp_path).entries
    assert entry.listing


def test_zips_are_looked_into(tmp_path):
    make_series(tmp_path / "files", "1.2.3", 2)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in (tmp_path / "files").iterdir():
            archive.write(path, f"inside/{path.name}")
    entries = read_headers(Place("folder", str(tmp_path)), ("all.zip",)).entries
    assert {entry.place for entry in entries} == {Place("zip", str(tmp_path / "all.zip"))}
    from contextlib import ExitStack

    with ExitStack() as opened:
        found = list(sources_of(entries[0].place, tuple(entry.name for entry in entries), opened))
        assert len(found) == 2
