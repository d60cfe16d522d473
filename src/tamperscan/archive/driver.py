"""The process that drives a run, started by the command: ``python -m tamperscan.archive.driver``.

It is a process of its own since Ray ends the process that it runs in, without an exception, when its cluster is gone.
Its plan comes as JSON on stdin; what happens goes, a line of JSON each, to the file descriptor that the plan names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, TextIO

from tamperscan.archive.cluster import Cluster, Engine
from tamperscan.archive.discovery import Discovery
from tamperscan.archive.errors import ClusterLostError, NotStartedError, UnreachableError
from tamperscan.archive.folder import ResultsFolder
from tamperscan.archive.index import Index
from tamperscan.archive.manifest import Settings, claim, make_manifest
from tamperscan.archive.places import Place
from tamperscan.archive.run import Flow, FoundQueue, screen_all
from tamperscan.archive.screening import Outcome
from tamperscan.archive.shards import write_unreadable
from tamperscan.archive.sources import ArchiveSources, count_all, find_all
from tamperscan.errors import TamperscanError
from tamperscan.scan.limits import is_shortage
from tamperscan.serve.parent import end_with

TOLD_EVERY: Final = 0.5
"""Seconds between two lines on progress."""


ASKED_EVERY: Final = 2.0
GONE_AFTER: Final = 30.0
"""Seconds: how often a cluster is asked, and how long it may be silent."""


class Pulse:
    """Looks whether the cluster lives: Ray waits in silence for one that is gone.

    Parameters
    ----------
    answers
        Asks it; may never come back.
    gone
        Is called once nothing has answered for `GONE_AFTER` seconds.
    """

    def __init__(self, answers: Callable[[], bool], gone: Callable[[], None]) -> None:
        self._answers, self._gone = answers, gone
        self._last = time.monotonic()
        self._over = threading.Event()
        for work in (self._ask, self._watch):
            threading.Thread(target=work, name="pulse", daemon=True).start()

    def _ask(self) -> None:
        while not self._over.wait(ASKED_EVERY):
            if self._answers():
                self._last = time.monotonic()

    def _watch(self) -> None:
        while time.monotonic() - self._last < GONE_AFTER:
            time.sleep(ASKED_EVERY)
        self._over.set()
        self._gone()


class Tally:
    """Counts what is done, and tells it now and then.

    Parameters
    ----------
    events
        Where lines go.
    """

    def __init__(self, events: TextIO) -> None:
        self._events, self._lock = events, threading.Lock()
        self._told, self._began = 0.0, time.monotonic()
        self.files_done = self.files = self.series = self.slices = 0
        self.counted = False
        self.verdicts: dict[str, int] = {}

    def begin(self) -> None:
        """Take the time from now on."""
        self._began = time.monotonic()

    def seen(self, files: int) -> None:
        """Count files that need no work."""
        with self._lock:
            self.files_done += files
        self.tell()

    def screened(self, files: int, outcome: Outcome) -> None:
        """Count a series."""
        verdict = outcome.result["verdict"]
        with self._lock:
            self.files_done += files
            self.series += 1
            self.slices += outcome.result["slices"] or 0
            self.verdicts[verdict] = self.verdicts.get(verdict, 0) + 1
        self.tell()

    def count(self, folders: Iterator[int]) -> None:
        """Count all files there are, for the time that is left; a count that fails is none."""
        with suppress(Exception):
            for files in folders:
                self.files += files
            self.counted = True

    def tell(self) -> None:
        """Write a line on progress, if the last was not just now."""
        if time.monotonic() - self._told >= TOLD_EVERY:
            self._told = time.monotonic()
            self.send("progress", **self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Give the counts."""
        names = ("files_done", "files", "counted", "series", "slices", "verdicts")
        return {name: getattr(self, name) for name in names} | {"seconds": time.monotonic() - self._began}

    def send(self, event: str, **facts: Any) -> None:
        """Write a line."""
        with self._lock:
            print(json.dumps({"event": event, **facts}), file=self._events, flush=True)


def drive(plan: dict[str, Any], tally: Tally) -> None:
    """Do a run.

    Parameters
    ----------
    plan
        As `tamperscan.archive.supervisor` makes it.
    tally
        Counts what is done.
    """
    settings, engine = Settings(**plan["settings"]), Engine(**plan["engine"])
    roots = tuple(Place(**root) for root in plan["roots"])
    sources = ArchiveSources(roots, tuple(plan["services"]), tuple(plan["query"]))
    access = _access(plan["access"])
    with ExitStack() as stack:
        folder = stack.enter_context(ResultsFolder(Path(plan["out"])))
        cluster = stack.enter_context(Cluster(engine, settings, folder.scratch, access))
        Pulse(cluster.answers, lambda: _give_up(tally))
        flow = Flow(cluster, folder.index, engine.memory, retry_failed=plan["retry_failed"])
        claim(folder.path, make_manifest(settings, flow.describe()))
        tally.begin()
        tally.send("started", workers=cluster.workers, device=cluster.device)
        threading.Thread(target=tally.count, args=(count_all(sources),), name="count", daemon=True).start()
        folder.index.forget_unlisted()
        _screen(cluster, flow, folder, sources, access, plan["retry_failed"], tally)
        write_unreadable(folder.path, folder.index)
        tally.send("end", **tally.as_dict(), **_totals(folder.index))


def _screen(
    cluster: Cluster,
    flow: Flow,
    folder: ResultsFolder,
    sources: ArchiveSources,
    access: Any,
    retry_failed: bool,
    tally: Tally,
) -> None:
    discovery = Discovery(folder.index, cluster.read_headers, tally.seen, retry_failed=retry_failed)
    found = FoundQueue(find_all(sources, discovery, access))
    screen_all(flow, found, folder.index, folder.path, lambda job, outcome: tally.screened(job.found.files, outcome))


def _give_up(tally: Tally) -> None:
    """End at once: whatever waits for Ray can't be woken. The index is whole at any moment."""
    tally.send("lost", message=f"nothing has answered for {GONE_AFTER:g} seconds")
    os._exit(1)


def _totals(index: Index) -> dict[str, Any]:
    return {"all_verdicts": index.verdicts(), "unreadable": sum(index.unreadable_reasons().values())}


def _access(plain: dict[str, Any] | None) -> Any:
    if plain is None:
        return None
    from tamperscan.serve.dicomweb.access import Access

    ca_file = plain["ca_file"]
    return Access(**{**plain, "ca_file": Path(ca_file) if ca_file else None})


def main() -> int:
    """Do the run that stdin describes; gives the exit code."""
    plan = json.loads(sys.stdin.read())
    end_with(plan["parent"])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    tally = Tally(os.fdopen(plan["events"], "w"))
    try:
        drive(plan, tally)
    except ClusterLostError as error:
        tally.send("lost", message=str(error))
        return 1
    except NotStartedError as error:
        tally.send("unstarted", message=str(error))
        return 1
    except UnreachableError as error:
        tally.send("unreachable", message=str(error))
        return 1
    except TamperscanError as error:
        tally.send("error", message=str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        traceback.print_exc()
        if is_shortage(error):
            tally.send("error", message="Memory ran out. What is done stays done: run this again where there is more.")
            return 1
        words = " ".join(str(error).split())[:300]
        tally.send("error", message=f"{type(error).__name__}: {words}. The folder of results has more in driver.log.")
        return 1
    return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
