"""Starts the process that drives a run, listens to it, and starts it again when its cluster was gone and is back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from tamperscan.errors import ArchiveError, OutputError

if TYPE_CHECKING:
    from tamperscan.archive.cluster import Engine
    from tamperscan.archive.manifest import Settings
    from tamperscan.archive.sources import ArchiveSources
    from tamperscan.serve.dicomweb.access import Access

LOG: Final = "driver.log"
"""What Ray says of itself; nobody needs it unless something is wrong."""

STARTS: Final = 3
"""Attempts to start Ray on this machine, which fails where it is busy with other things."""

START_SECONDS: Final = 300.0
"""Time for Ray to start, or a cluster to answer. Where Ray gets no memory for its parts it waits for them for ever."""

PAUSE_SECONDS: Final = 5.0
"""Between two attempts to find a cluster that is gone."""

GRACE_SECONDS: Final = 60.0
"""Time that a run that is to end has for writing what it knows."""

_NOT_STARTED: Final = (
    "Ray has not started within {:g} seconds. Look whether this machine is short of memory or very busy, or whether the"
    " cluster is well."
)

Listener = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Run:
    """A run over an archive.

    Attributes
    ----------
    sources
        What is screened.
    out
        Folder of results.
    settings
        What results depend on.
    engine
        What the work is spread over.
    access
        Credentials for DICOMweb.
    retry_failed
        Whether what failed before is tried again.
    wait_seconds
        How long a cluster may be gone.
    """

    sources: ArchiveSources
    out: Path
    settings: Settings
    engine: Engine
    access: Access | None = None
    retry_failed: bool = False
    wait_seconds: float = 600.0


def supervise(run: Run, listen: Listener) -> dict[str, Any]:
    """Do a run.

    Parameters
    ----------
    run
        What to do.
    listen
        Is told what happens: ``started``, ``progress`` and ``lost`` events.

    Returns
    -------
    dict
        What was done, as counts.

    Raises
    ------
    ArchiveError
        If it can't start or go on; what is done stays done.
    """
    until, starts = None, 0
    while True:
        started, last = _drive(run, listen)
        starts += 1
        if last["event"] == "end":
            return dict(last)
        if last["event"] == "unstarted" and starts < STARTS:
            continue
        if last["event"] in ("error", "unstarted") or (last["event"] == "unreachable" and until is None):
            raise ArchiveError(last["message"])
        if not run.engine.address:
            raise ArchiveError(f"{last['message']} What is done stays done: run this again to go on.")
        if until is None or started:
            until = time.monotonic() + run.wait_seconds
        if time.monotonic() > until:
            raise ArchiveError(f"{run.engine.address}: the cluster is gone. Start it, and run this again to go on.")
        listen({"event": "lost", "message": last["message"]})
        time.sleep(PAUSE_SECONDS)


def _drive(run: Run, listen: Listener) -> tuple[bool, dict[str, Any]]:
    """Start a driver and listen until it ends; gives whether it got to work, and the last that it said."""
    reading, writing = os.pipe()
    with os.fdopen(reading, encoding="utf-8") as events:
        try:
            driver = _start(run.out / LOG, writing)
        finally:
            os.close(writing)
        _hand_over(driver, _plan(run, writing))
        return _listen(driver, events, listen)


def _start(log: Path, events: int) -> subprocess.Popen[bytes]:
    try:
        with log.open("wb") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "tamperscan.archive.driver"],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=file,
                pass_fds=(events,),
                start_new_session=True,  # Ctrl-C is told to it by this process alone
            )
    except OSError as error:
        raise OutputError(f"{log}: can't be written ({error.strerror}). Make room, or name another folder.") from error


def _hand_over(driver: subprocess.Popen[bytes], plan: dict[str, Any]) -> None:
    assert driver.stdin is not None
    with suppress(BrokenPipeError), driver.stdin:
        driver.stdin.write(json.dumps(plan).encode())


def _plan(run: Run, events: int) -> dict[str, Any]:
    access = None if run.access is None else asdict(run.access)
    if access is not None and access["ca_file"] is not None:
        access["ca_file"] = str(access["ca_file"])
    return {
        "roots": [asdict(root) for root in run.sources.roots],
        "services": run.sources.services,
        "query": run.sources.query,
        "access": access,
        "out": str(run.out.resolve()),
        "settings": asdict(run.settings),
        "engine": asdict(run.engine),
        "retry_failed": run.retry_failed,
        "parent": os.getpid(),
        "events": events,
    }


def _listen(driver: subprocess.Popen[bytes], lines: TextIO, listen: Listener) -> tuple[bool, dict[str, Any]]:
    started, last = False, {"event": "died", "message": ""}
    too_long = threading.Event()

    def give_up() -> None:
        too_long.set()
        driver.kill()  # it waits within Ray, and hears no softer word

    watch = threading.Timer(START_SECONDS, give_up)
    watch.start()
    try:
        for line in lines:
            watch.cancel()
            event = json.loads(line)
            started = started or event["event"] == "started"
            if event["event"] in ("end", "error", "unstarted", "unreachable", "lost"):
                last = event
            else:
                listen(event)
        code = driver.wait()
    except BaseException:
        _end(driver)
        raise
    finally:
        watch.cancel()
    if too_long.is_set():
        last = {"event": "error", "message": _NOT_STARTED.format(START_SECONDS)}
    return started, last if last["event"] != "died" else {**last, "message": _how_it_ended(code)}


def _end(driver: subprocess.Popen[bytes]) -> None:
    """Let a driver write what it knows, and end."""
    driver.terminate()
    try:
        driver.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()


def _how_it_ended(code: int) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"The run was ended from outside ({name}), as by a system that is short of memory."
    return f"The run ended without a word (code {code}); {LOG} in the folder of results may say why."
