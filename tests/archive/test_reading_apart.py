"""Reading a series in a process of its own."""

import time

import numpy as np
import pytest
from archive_maker import find, make_series

from tamperscan.archive import reading_apart
from tamperscan.archive.reading import read_series
from tamperscan.archive.reading_apart import read_apart
from tamperscan.scan.limits import Limits

pytestmark = pytest.mark.skipif(not reading_apart.POSSIBLE, reason="memory without a name is Linux's")


def test_it_gives_what_reading_here_gives(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 5, StudyDate="20240517")
    (found,) = find(index, tmp_path / "in")
    apart, here = read_apart(found), read_series(found)
    (packed,), (wanted,) = apart.scans, here.scans
    assert packed.voxels.dtype == wanted.voxels.dtype == np.int16
    np.testing.assert_array_equal(packed.unpack().voxels, wanted.unpack().voxels)
    np.testing.assert_array_equal(packed.scan.affine, wanted.scan.affine)
    for name in ("sha256", "spacing_mm", "modality", "name", "warnings", "sources", "metadata"):
        assert getattr(packed.scan, name) == getattr(wanted.scan, name)
    assert (apart.month, apart.problems, apart.missing) == ("2024-05", (), 0)


def test_fractions_and_what_fails(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 1)
    np.save(tmp_path / "in" / "scan.npy", np.random.default_rng(0).normal(-500, 300, (3, 20, 24)).astype(np.float32))
    for found in find(index, tmp_path / "in"):
        apart, here = read_apart(found), read_series(found)
        assert [one.voxels.dtype for one in apart.scans] == [one.voxels.dtype for one in here.scans]
    path = tmp_path / "in" / "IM0000.dcm"
    path.write_bytes(path.read_bytes()[:-600])
    for found in find(index, tmp_path / "in"):
        apart, here = read_apart(found), read_series(found)
        assert (apart.problems, apart.missing) == (here.problems, here.missing)


def test_a_series_that_takes_too_long_fails_and_says_so(index, tmp_path):
    make_series(tmp_path / "in", "1.1", 40)
    (found,) = find(index, tmp_path / "in")
    read = read_apart(found, seconds=0.005)
    assert (read.scans, read.missing) == ((), 1)
    assert read.problems[0].startswith("takes longer than the 0.005 s that reading one series may take")
    assert read_apart(found).missing == 0  # the same reader goes on


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_time_that_is_over_while_a_finaliser_runs_is_over_all_the_same():
    class Slow:
        def __del__(self):
            time.sleep(0.05)

    def work(seconds):
        Slow()
        time.sleep(seconds)

    for seconds in (0, 30):
        with pytest.raises(reading_apart._TooLongError), reading_apart._no_longer_than(0.01):
            work(seconds)


def test_a_series_that_takes_too_much_memory_fails_alone(index, tmp_path):
    (tmp_path / "in").mkdir()
    with (tmp_path / "in" / "huge.npy").open("wb") as file:
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (600, 1024, 1024), }"
        file.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n")
        file.truncate(file.tell() + 4 * 600 * 2**20)  # a sparse file: it takes no room
    (found,) = find(index, tmp_path / "in")
    read = read_apart(found, limits=Limits(memory=2**30))
    assert (read.scans, read.missing) == ((), 1)
    assert "memory" in read.problems[0]
