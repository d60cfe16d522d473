import json
import os
import random
import signal
import sys
import time

import numpy as np
import pytest

from tamperscan.bench import faults, faults_process
from tamperscan.bench.document import Provenance
from tamperscan.bench.faults import FaultsResult, run_faults
from tamperscan.bench.faults_archive import Line, WebArchive
from tamperscan.bench.faults_cases import cases
from tamperscan.bench.faults_disk import SmallDisk, can_mount
from tamperscan.bench.faults_files import damaged_files, digests_of, leftovers_in, results_in
from tamperscan.bench.faults_page import faults_page
from tamperscan.bench.faults_process import Ended, Limits, Moment, run_command
from tamperscan.bench.faults_trial import Row, Trial, misbehaviour
from tamperscan.bench.node_instances import write_series
from tamperscan.bench.process_tree import stat_of
from tamperscan.errors import BenchError

linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of address space are Linux's")


def ended(code=0, err="", *, killed=False):
    return Ended(code, killed, "", err, 1.0, 3)


@pytest.mark.parametrize(
    ("what", "column"),
    [
        (ended(), None),
        (ended(-9, killed=True), None),
        (ended(3, "Error: a.dcm: no space left to write.\n"), None),
        (ended(1, "Traceback (most recent call last):\n"), "tracebacks"),
        (ended(70, "Error: MemoryError. This is a fault in tamperscan; please"), "tracebacks"),
        (ended(-6, "terminate called"), "crashed"),
        (Ended(-9, False, "", "", 900.0, 0), "other"),
        (ended(1, "Error: no"), "other"),
        (ended(3, "no word of it"), "other"),
    ],
)
def test_how_a_command_ended(what, column):
    assert misbehaviour(what) == column


def write_results(folder):
    (folder / "a.json").write_text(json.dumps({"score": 1.5, "seconds": 3.2}))
    (folder / "page.html").write_text("<html></html>\n")
    np.savez(folder / "b.npz", values=np.arange(5))
    (folder / ".a.json.1.tmp").write_text("half")
    return folder


def test_whole_files_are_not_damaged(tmp_path):
    write_results(tmp_path)
    assert damaged_files(tmp_path) == []
    assert leftovers_in(tmp_path) == 1
    assert [path.name for path in results_in(tmp_path)] == ["a.json", "b.npz", "page.html"]


@pytest.mark.parametrize("name", ["a.json", "page.html", "b.npz"])
def test_half_a_file_is_damaged(tmp_path, name):
    path = write_results(tmp_path) / name
    os.truncate(path, path.stat().st_size // 2)
    assert [problem.partition(":")[0] for problem in damaged_files(tmp_path)] == [name]


def test_half_an_image_is_damaged(tmp_path):
    path = next(iter(write_series(tmp_path, slices=1, side=32).files.values()))
    assert damaged_files(tmp_path) == []
    content = path.read_bytes()
    path.write_bytes(content[: content.find(b"\xe0\x7f\x10\x00")])  # up to the pixels
    assert len(damaged_files(tmp_path)) == 1


def test_times_make_no_difference(tmp_path):
    before = digests_of(write_results(tmp_path))
    (tmp_path / "a.json").write_text(json.dumps({"score": 1.5, "seconds": 9.9}))
    assert digests_of(tmp_path) == before
    (tmp_path / "a.json").write_text(json.dumps({"score": 1.6, "seconds": 9.9}))
    assert digests_of(tmp_path) != before


class Careless(Trial):
    """A program that writes in place, and begins anew under another name when it was disturbed."""

    def words(self, out):
        code = (
            "import pathlib, sys, time\n"
            f"out = pathlib.Path({str(out)!r})\n"
            "name = 'a.json' if not list(out.iterdir()) else 'a-2.json'\n"
            "file = open(out / name, 'w')\n"
            "file.write('[1, '); file.flush(); time.sleep(1.0)\n"
            "file.write('2]'); file.close()\n"
        )
        return ["-c", code]


def test_careless_programs_are_found_out(tmp_path, monkeypatch):
    def start(words, limits, peak, out, err):
        return faults_process.subprocess.Popen(
            [sys.executable, "-S", *words], stdout=out, stderr=err, start_new_session=True
        )

    monkeypatch.setattr(faults_process, "_start", start)
    trial = Careless("careless", tmp_path, random.Random(1))
    trial.begin()
    row = trial.killed(2)
    assert row.tried == 2
    assert row.struck >= 1
    assert row.damaged >= 1
    assert row.lost == 1  # a.json is half for good
    assert row.twice >= 1


def test_a_command_is_killed_at_its_moment(tmp_path):
    result = run_command(["weights", "check", "ct"], tmp_path, kill=Moment(0.05))
    assert result.killed
    assert result.code == -signal.SIGKILL
    assert result.seconds < 5


@linux
def test_a_command_with_too_little_memory_says_so(tmp_path):
    result = run_command(["weights", "check", "ct"], tmp_path, limits=Limits(memory=36 * 2**20))
    assert misbehaviour(result) in (None, "crashed")
    assert result.code != 0


@pytest.mark.skipif(sys.platform != "linux" or not can_mount(), reason="this user may not mount a disk")
def test_small_disk(tmp_path):
    with SmallDisk(tmp_path / "disk", 100_000) as disk:
        with pytest.raises(OSError, match="No space"):
            (disk.folder / "large").write_bytes(bytes(200_000))
        disk.grow(2**20)
        (disk.folder / "large").write_bytes(bytes(200_000))
    assert not (tmp_path / "disk").exists()


def test_pull_over_a_line_that_is_cut(tmp_path):
    pytest.importorskip("httpx")
    series = write_series(tmp_path / "series", slices=2, side=64)
    with WebArchive(tmp_path / "series") as archive, Line(archive.port) as line:
        url = f"http://127.0.0.1:{line.port}"
        words = ["pull", "--from", url, "--query", "PatientID=S1", "--out", str(tmp_path / "out"), "--timeout", "5"]
        line.cut_after(12_000)  # in the second image
        broken = run_command(words, tmp_path / "out")
        assert misbehaviour(broken) is None
        assert broken.code == 3
        assert damaged_files(tmp_path / "out") == []
        line.cut_after(-1)
        assert run_command(words, tmp_path / "out").code == 0
        assert len(list((tmp_path / "out").rglob("*.dcm"))) == len(series.files)


def test_commands_that_there_are():
    assert [case.name for case in cases(["demo", "pull"])] == ["demo"]
    with pytest.raises(BenchError, match="--only nothing: there is no such command"):
        cases(["nothing"])


def test_data_that_is_not_there(tmp_path):
    with pytest.raises(BenchError, match="--data"):
        run_faults(["screen"], tmp_path, tmp_path / "out", kills=1, others=1, seed=1)


def test_rows_of_other_commands_are_kept(tmp_path, monkeypatch):
    def tried(name, out, **_):
        return [Row(name, "killed", tried=1)]

    monkeypatch.setattr(faults, "line_rows", tried)
    run_faults(["push"], tmp_path, tmp_path, kills=1, others=1, seed=1)
    result = run_faults(["pull"], tmp_path, tmp_path, kills=1, others=1, seed=1)
    assert [row.command for row in result.rows] == ["pull", "push"]
    assert list(result.commits) == ["pull", "push"]
    told = faults_page(FaultsResult(result.rows, 1, (), {"pull": "a1", "push": "b2"}), Provenance("x", ""))
    assert "at `a1`: `pull`; at `b2`: `push`" in told


class Sessions(Careless):
    """A program that starts another one in a session of its own."""

    def words(self, out):
        code = (
            "import subprocess, sys\n"
            "sleep = [sys.executable, '-S', '-c', 'import time; time.sleep(60)']\n"
            "child = subprocess.Popen(sleep, start_new_session=True)\n"
            f"open({str(out.parent / 'pid')!r}, 'w').write(str(child.pid))\n"
            f"open({str(out / 'told')!r}, 'w').close()\n"
            "child.wait()\n"
        )
        return ["-c", code]


@linux
def test_what_runs_in_another_session_is_killed_too(tmp_path, monkeypatch):
    def start(words, limits, peak, out, err):
        return faults_process.subprocess.Popen(
            [sys.executable, "-S", *words], stdout=out, stderr=err, start_new_session=True
        )

    monkeypatch.setattr(faults_process, "_start", start)
    watched = tmp_path / "watched"
    watched.mkdir()
    words = Sessions("sessions", tmp_path, random.Random(1)).words(watched)
    assert run_command(words, watched, kill=Moment(50.0, changes=1)).killed
    child = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10  # nobody waits for it, so that the kernel ends it when it gets to it
    while (alive := is_alive(child)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive


def is_alive(pid):
    try:
        state = stat_of(pid)[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # one that nobody has waited for is there still


def test_page():
    rows = (Row("screen", "killed", tried=3, struck=2, damaged=1, notes=["a.json: half"]),)
    page = faults_page(FaultsResult(rows, 1, ("no network: not here",)), Provenance("tamperscan bench faults", ""))
    assert "| `screen` | killed | 3 | 2 | 0 | 1 |" in page
    assert "In all 3 faults, 2 of which struck: 0 results lost, 1 files damaged" in " ".join(page.split())
    assert "- screen, killed: a.json: half" in page
    assert "Not tried here: no network: not here." in page
