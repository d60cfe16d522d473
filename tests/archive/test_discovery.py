import shutil

import pytest
from archive_maker import Read, find, make_series, screen

from tamperscan.archive.discovery import Discovery
from tamperscan.archive.errors import WorkerLostError
from tamperscan.archive.headers import read_headers
from tamperscan.archive.places import Place


def test_series_are_found_folder_by_folder(index, tmp_path):
    make_series(tmp_path / "in" / "a", "1.1", 3)
    make_series(tmp_path / "in" / "b", "1.2")
    found = find(index, tmp_path / "in")
    assert {series.series: series.files for series in found} == {"1.1": 3, "1.2": 2}
    assert all(len(series.key) == 32 for series in found)


def test_two_series_of_one_folder(index, tmp_path):
    make_series(tmp_path / "x", "1.1")
    make_series(tmp_path / "y", "1.2", 4)
    (tmp_path / "in").mkdir()
    for number, path in enumerate([*(tmp_path / "x").iterdir(), *(tmp_path / "y").iterdir()]):
        path.rename(tmp_path / "in" / f"{number}.dcm")
    assert sorted(series.files for series in find(index, tmp_path / "in")) == [2, 4]


def test_what_has_a_row_is_not_found_again(index, tmp_path):
    make_series(tmp_path / "in", "1.1")
    (found,) = find(index, tmp_path / "in")
    assert find(index, tmp_path / "in") == [found]
    screen(index, found)
    seen = []
    assert find(index, tmp_path / "in", seen=seen.append) == []
    assert sum(seen) == 2


def test_a_series_that_has_grown_is_found_again(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 2)
    screen(index, find(index, tmp_path / "in")[0])
    make_series(tmp_path / "in", "1.1", 3)
    (found,) = find(index, tmp_path / "in")
    assert found.files == 3


def test_failed_series_are_found_when_asked_for(index, tmp_path):
    make_series(tmp_path / "in", "1.1")
    screen(index, find(index, tmp_path / "in")[0], "failed")
    assert find(index, tmp_path / "in") == []
    assert len(find(index, tmp_path / "in", retry_failed=True)) == 1


def test_a_series_of_several_folders_is_one(index, tmp_path):
    make_series(tmp_path / "in" / "a", "1.1", 4)
    (tmp_path / "in" / "b").mkdir()
    for name in ("IM0002.dcm", "IM0003.dcm"):
        (tmp_path / "in" / "a" / name).rename(tmp_path / "in" / "b" / name)
    *_, whole = find(index, tmp_path / "in")
    assert whole.files == 4
    assert len(whole.parts) == 2
    screen(index, whole)
    assert find(index, tmp_path / "in") == []


@pytest.mark.parametrize("whole_first", [True, False])
def test_what_came_of_one_folder_does_not_stand_for_all(index, tmp_path, whole_first):
    for name in ("a", "b"):
        make_series(tmp_path / "in" / name, "1.1", 2)
    discovery = Discovery(index, Read, lambda _: None)
    (part,) = discovery.under(Place("folder", str(tmp_path / "in")))  # on its way while the other folder is found
    if not whole_first:
        screen(index, part)
    (whole,) = discovery.scattered()
    screen(index, whole)
    if whole_first:
        screen(index, part, "suspicious")
    assert index.is_done(whole.key, whole.listing)
    assert index.verdicts() == {"clear": 1}
    assert find(index, tmp_path / "in") == []


def test_what_became_of_scattered_files_is_looked_at_anew(index, tmp_path):
    for name in ("a", "b"):
        make_series(tmp_path / "in" / name, "1.1", 2)
    discovery = Discovery(index, Read, lambda _: None)
    assert len(list(discovery.under(Place("folder", str(tmp_path / "in"))))) == 1
    shutil.rmtree(tmp_path / "in")
    assert list(discovery.scattered()) == []


def test_unreadable_files_are_listed_once(index, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "junk.dcm").write_bytes(b"junk")
    for _ in range(2):
        assert find(index, tmp_path / "in", retry_failed=True) == []
    assert [path for path, _ in index.unreadable()] == [str(tmp_path / "in" / "junk.dcm")]
    (tmp_path / "in" / "junk.dcm").unlink()
    find(index, tmp_path / "in")
    assert list(index.unreadable()) == []


class Deadly:
    """Reads headers with a worker that one file ends."""

    def __init__(self, place, names):
        self._what = place, names

    def result(self):
        if "IM0001.dcm" in self._what[1]:
            raise WorkerLostError("ended")
        return read_headers(*self._what)


def test_a_file_that_ends_its_worker_is_listed_alone(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 5)
    discovery = Discovery(index, Deadly, lambda _: None)
    (found,) = discovery.under(Place("folder", str(tmp_path / "in")))
    assert found.files == 4
    ((path, problem),) = index.unreadable()
    assert path.endswith("IM0001.dcm")
    assert "worker" in problem


@pytest.mark.parametrize("uid", ["../../etc/passwd", "a" * 5000, "1.2\n3"])
def test_keys_hold_nothing_of_what_a_file_says(index, tmp_path, uid):
    make_series(tmp_path / "in", "1.1", 1)
    from tamperscan.archive.found import series_key

    assert set(series_key(uid)) <= set("0123456789abcdef")
