from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tamperscan.errors import ScanError
from tamperscan.scan import Limits, isolated, iter_scans, plan_scans, processes, read_scan, read_scans
from tamperscan.scan.places import Place

from .dicom_maker import hounsfield, write_series, write_slice

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux, to look at processes")


def sparse_volume(path, shape):
    """A NumPy file that claims a volume and takes no room on the disk."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.truncate(file.tell() + 8 * int(np.prod(shape)))
    return path


def readers():
    """Processes of this one that read."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # threads and processes end meanwhile
            children = [int(pid) for pid in (task / "children").read_text().split()]
            found |= {pid for pid in children if b"scan.reader" in Path(f"/proc/{pid}/cmdline").read_bytes()}
    return found


def test_nothing_of_a_file_is_parsed_here(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    program = (
        "import sys, tamperscan; scan = tamperscan.read_scan(sys.argv[1]);"
        "print(scan.shape, [name for name in ('pydicom', 'nibabel', 'gdcm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 20, 24) []\n"


def test_voxels_may_be_written_to_and_outlive_the_reader(tmp_path):
    path = write_series(tmp_path / "a", hounsfield())
    first, second = read_scan(path), read_scan(path)
    for pid in readers():
        os.kill(pid, signal.SIGKILL)
    first.voxels[:] = 7
    assert np.array_equal(second.voxels, hounsfield())
    assert np.array_equal(read_scan(path).voxels, hounsfield())


def test_one_reader_serves_one_path_after_the_other(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    read_scan(path)
    before = readers()
    assert before
    for _ in range(3):
        read_scan(path)
    assert readers() == before


def test_two_paths_at_a_time(tmp_path):
    paths = [write_slice(tmp_path / name / "a.dcm") for name in ("a", "b")]
    pairs = list(zip(iter_scans(paths[0]), iter_scans(paths[1]), strict=True))
    assert [(one.sources[0], other.sources[0]) for one, other in pairs] == [(str(paths[0]), str(paths[1]))]


def test_many_threads(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    digests = set()
    threads = [threading.Thread(target=lambda: digests.add(read_scan(path).sha256)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(digests) == 1


def test_scans_that_nobody_asks_for_any_more(tmp_path):
    for name in ("a", "b", "c"):
        write_slice(tmp_path / name / "a.dcm", SeriesInstanceUID=f"1.2.{ord(name)}")
    for scan in iter_scans(tmp_path):
        assert scan.name == "a"
        break
    assert [scan.name for scan in read_scans(tmp_path)] == ["a", "b", "c"]


def test_relative_paths_are_those_of_the_caller(tmp_path, monkeypatch):
    write_slice(tmp_path / "a.dcm")
    read_scan(tmp_path / "a.dcm")
    monkeypatch.chdir(tmp_path)
    assert read_scan("a.dcm").sources == ("a.dcm",)


def test_names_that_are_no_text(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.dcm"))
    write_slice(path)
    assert read_scan(path).sources == (str(path),)
    path.write_bytes(b"nothing")
    with pytest.raises(ScanError) as caught:
        read_scan(path)
    assert str(caught.value).isprintable()


def test_planned_scans_say_where_their_files_are(tmp_path):
    series = write_series(tmp_path / "a", hounsfield(2))
    (planned,) = plan_scans(series)
    assert planned.sources == tuple(Place(str(path)) for path in sorted(series.iterdir()))


def test_reader_that_is_killed_between_two_scans_is_replaced(tmp_path):
    for name in ("a", "b"):
        write_slice(tmp_path / name / "a.dcm", SeriesInstanceUID=f"1.2.{ord(name)}")
    names = []
    for scan in iter_scans(tmp_path):
        names.append(scan.name)
        for pid in readers():
            os.kill(pid, signal.SIGKILL)
    assert names == ["a", "b"]


def test_too_much_memory_is_an_error_that_names_the_limit(tmp_path):
    path = sparse_volume(tmp_path / "large.npy", (512, 512, 512))
    with pytest.raises(ScanError, match=r"large.npy: needs more memory than the 0.75 GiB that reading may take"):
        read_scan(path, limits=Limits(memory=3 * 2**28))


def test_too_much_time_is_an_error_that_names_the_file_and_the_limit(tmp_path):
    path = sparse_volume(tmp_path / "slow.npy", (200, 512, 512))
    began = time.monotonic()
    with pytest.raises(ScanError, match=r"slow.npy: takes longer than the 0.05 s that reading one file may take"):
        read_scan(path, limits=Limits(seconds_a_file=0.05))
    assert time.monotonic() - began < 20


def test_one_file_over_the_limit_does_not_end_a_run_over_many(tmp_path):
    write_slice(tmp_path / "whole" / "a.dcm")
    sparse_volume(tmp_path / "large.npy", (512, 512, 512))
    errors = []
    scans = read_scans(tmp_path, on_error=errors.append, limits=Limits(memory=3 * 2**28))
    assert [scan.name for scan in scans] == ["whole"]
    assert [Path(error.path).name for error in errors] == ["large.npy"]


def test_too_many_voxels_and_frames(tmp_path):
    path = write_series(tmp_path / "a", hounsfield())
    with pytest.raises(ScanError, match="more than the limit of 400"):
        read_scan(path, limits=Limits(voxels=400))


def test_a_reader_that_can_not_start_is_an_error(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    with pytest.raises(ScanError, match=r"needs more memory than the 0\.000977 GiB"):
        read_scan(path, limits=Limits(memory=2**20, restarts=1))


def test_forks_have_readers_of_their_own(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    read_scan(path)
    if (child := os.fork()) == 0:
        status = 1
        try:
            status = 0 if read_scan(path).shape == (1, 20, 24) else 2
            processes.idle.end()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert read_scan(path).shape == (1, 20, 24)


def test_readers_end_with_who_started_them(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    program = (
        "import os, sys, tamperscan; from tamperscan.scan import processes; tamperscan.read_scan(sys.argv[1]);"
        "print(processes.idle._waiting[0]._process.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    pid = int(done.stdout)
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the reader lives on")


def test_a_reader_that_was_prepared_is_the_one_that_reads(tmp_path):
    path = write_slice(tmp_path / "a.dcm")
    processes.idle.end()
    isolated.prepare()
    prepared = list(processes.idle._waiting)
    assert len(prepared) == 1
    read_scan(path)
    assert processes.idle._waiting == prepared


def test_functions_of_the_package_are_called_within_the_limits(tmp_path):
    path = sparse_volume(tmp_path / "large.npy", (512, 512, 512))
    found = isolated.call("tamperscan.plain_text", "printable", "a\n", label="a text")
    assert found == "a\\n"
    with pytest.raises(ScanError, match="not foreseen"):
        isolated.call("tamperscan.plain_text", "printable", 1, label=str(path))


def test_a_reader_that_is_killed_in_the_midst_of_a_file_is_replaced(tmp_path):
    path = write_series(tmp_path / "a", hounsfield(40))
    killed = threading.Event()

    def kill():
        while not (found := readers() - before):
            time.sleep(0.01)
        time.sleep(0.3)
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        killed.set()

    processes.idle.end()
    before = readers()
    thread = threading.Thread(target=kill)
    thread.start()
    scans = [read_scan(path)]
    while not killed.wait(0.01):
        scans.append(read_scan(path))
    thread.join()
    assert all(np.array_equal(scan.voxels, hounsfield(40)) and not scan.warnings for scan in scans)
