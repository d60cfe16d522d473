import io
import json
import os
import sys
import time

import pytest

from tamperscan.archive import driver, supervisor
from tamperscan.archive.cluster import Engine
from tamperscan.archive.manifest import Settings
from tamperscan.archive.places import Place
from tamperscan.archive.sources import ArchiveSources
from tamperscan.archive.supervisor import Run, supervise
from tamperscan.errors import ArchiveError

# Drivers that act as a real one does in a cluster that comes and goes; each start takes the next of these programs.
BEGIN = (
    "import json, os, signal, sys, time\nplan = json.loads(sys.stdin.read())\nout = os.fdopen(plan['events'], 'w')\n"
)
SAY = "print(json.dumps({'event': '%s', 'message': 'as told'}), file=out, flush=True)\n"
NAMES = ("started", "lost", "end", "unreachable", "error", "unstarted")
STARTED, LOST, END, UNREACHABLE, ERROR, UNSTARTED = (SAY % name for name in NAMES)
ABORTED = STARTED + "os.kill(os.getpid(), signal.SIGABRT)\n"


@pytest.fixture
def run_with(tmp_path, monkeypatch):
    """Supervise programs in the place of drivers."""

    def start(*programs, address=""):
        left = list(programs)
        real = supervisor.subprocess.Popen

        def popen(command, **options):
            assert command[1:] == ["-m", "tamperscan.archive.driver"]
            return real([sys.executable, "-c", BEGIN + left.pop(0)], **options)

        monkeypatch.setattr(supervisor.subprocess, "Popen", popen)
        monkeypatch.setattr(supervisor, "PAUSE_SECONDS", 0.0)
        heard = []
        sources = ArchiveSources((Place("folder", str(tmp_path)),))
        run = Run(sources, tmp_path, Settings(), Engine(address=address), wait_seconds=30)
        return supervise(run, heard.append), [event["event"] for event in heard]

    return start


def test_a_run_that_ends(run_with):
    assert run_with(STARTED + END) == ({"event": "end", "message": "as told"}, ["started"])


@pytest.mark.parametrize("gone", [STARTED + LOST, ABORTED])
def test_a_cluster_that_goes_and_comes_back(run_with, gone):
    _, heard = run_with(gone, UNREACHABLE, UNREACHABLE, STARTED + END, address="head:1")
    assert heard == ["started", "lost", "lost", "lost", "started"]


def test_a_cluster_that_was_never_there(run_with):
    with pytest.raises(ArchiveError, match="as told"):
        run_with(UNREACHABLE, address="head:1")


def test_a_busy_machine_gets_several_attempts(run_with):
    assert run_with(UNSTARTED, UNSTARTED, STARTED + END)[1] == ["started"]


def test_ray_that_never_starts_is_not_waited_for_for_ever(run_with, monkeypatch):
    monkeypatch.setattr(supervisor, "START_SECONDS", 0.5)
    with pytest.raises(ArchiveError, match="not started within"):
        run_with("time.sleep(60)")


def test_a_run_that_has_started_takes_its_time(run_with, monkeypatch):
    monkeypatch.setattr(supervisor, "START_SECONDS", 4.0)
    assert run_with(STARTED + "time.sleep(4.5)\n" + END)[1] == ["started"]


def test_and_no_end_of_them(run_with):
    with pytest.raises(ArchiveError, match="as told"):
        run_with(*[UNSTARTED] * supervisor.STARTS)


def test_an_error_is_not_tried_again(run_with):
    with pytest.raises(ArchiveError, match="as told"):
        run_with(STARTED + LOST, STARTED + ERROR, address="head:1")


def test_a_run_that_the_system_ends(run_with):
    with pytest.raises(ArchiveError, match=r"SIGABRT.*run this again"):
        run_with(ABORTED)


def test_silence_is_noticed(monkeypatch):
    monkeypatch.setattr(driver, "ASKED_EVERY", 0.02)
    monkeypatch.setattr(driver, "GONE_AFTER", 0.2)
    gone = []
    begun = time.monotonic()
    driver.Pulse(lambda: time.monotonic() - begun < 0.3, lambda: gone.append(time.monotonic() - begun))
    while not gone and time.monotonic() - begun < 10:
        time.sleep(0.05)
    assert gone[0] >= 0.4


def test_credentials_are_handed_over_and_not_written(tmp_path):
    from tamperscan.serve.dicomweb.access import Access

    sources = ArchiveSources((), ("https://pacs.example",), ("Modality=CT",))
    run = Run(sources, tmp_path, Settings(), Engine(), Access(token="secret"))
    plan = supervisor._plan(run, 3)
    assert driver._access(plan["access"]) == run.access
    assert plan["parent"] == os.getpid()
    assert "secret" not in repr(run)


def test_memory_that_runs_out_is_told_in_plain_words(tmp_path, monkeypatch):
    def drive(plan, tally):
        raise MemoryError

    reading, writing = os.pipe()
    monkeypatch.setattr(driver, "drive", drive)
    monkeypatch.setattr(driver, "end_with", lambda parent: None)
    monkeypatch.setattr(driver.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"parent": 1, "events": writing})))
    assert driver.main() == 1
    with os.fdopen(reading) as events:
        told = json.loads(events.readline())
    assert told["event"] == "error"
    assert told["message"].startswith("Memory ran out. What is done stays done")
