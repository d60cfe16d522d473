"""A run over an archive: finds, reads, screens and writes, with so much at a time and no more."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tamperscan.archive.cluster import Cluster
from tamperscan.archive.errors import WorkerLostError
from tamperscan.archive.found import FoundSeries
from tamperscan.archive.index import Index
from tamperscan.archive.screening import Outcome, lost_outcome
from tamperscan.archive.shards import write_part
from tamperscan.errors import ArchiveError

ROWS_A_PART: Final = 2000
SECONDS_A_PART: Final = 300.0
"""A part is written when there are so many rows for it, or after so much time."""

FOUND_AHEAD: Final = 16
"""Series that discovery may be ahead."""

PATIENCE: Final = 0.25
"""Seconds between two looks at what discovery has found."""

LOST_IN_A_ROW: Final = 8
"""When so many workers end one after the other, none of them with a result, something is wrong with the machine."""


@dataclass
class Job:
    """A series on its way.

    Attributes
    ----------
    found
        The series.
    attempts
        Which attempt this is, from 1.
    """

    found: FoundSeries
    attempts: int = 1

    @property
    def alone(self) -> bool:
        """Whether nothing else may be worked on meanwhile: its worker ended the first time."""
        return self.attempts > 1


class FoundQueue:
    """Series from a thread that looks for them, which waits while enough are there.

    Parameters
    ----------
    series
        Gives the series.
    """

    def __init__(self, series: Iterable[FoundSeries]) -> None:
        self._queue: queue.Queue[FoundSeries | None] = queue.Queue(FOUND_AHEAD)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self.exhausted = False
        self._thread = threading.Thread(target=self._fill, args=(series,), name="discovery", daemon=True)
        self._thread.start()

    def next(self, seconds: float) -> FoundSeries | None:
        """Give the next series, or None if there is none within so many seconds.

        Raises
        ------
        Exception
            Whatever ended the search.
        """
        try:
            found = self._queue.get(timeout=seconds) if seconds else self._queue.get_nowait()
        except queue.Empty:
            return None
        if found is None:
            self.exhausted = True
            if self._error is not None:
                raise self._error
        return found

    def stop(self) -> None:
        """Look for no more."""
        self._stopped.set()
        self._thread.join(timeout=5.0)

    def _fill(self, series: Iterable[FoundSeries]) -> None:
        try:
            for found in series:
                if not self._put(found):
                    return
        except BaseException as error:
            self._error = error
        self._put(None)

    def _put(self, found: FoundSeries | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(found, timeout=PATIENCE)
            except queue.Full:
                continue
            return True
        return False


class Flow:
    """Moves series from discovery through readers and screeners into the index.

    Parameters
    ----------
    cluster
        Does the work.
    index
        Gets the rows.
    memory
        Bytes of decoded voxels that may be on their way; one series may be on its way however large it is.
    retry_failed
        Whether series that failed before are screened again.
    """

    def __init__(self, cluster: Cluster, index: Index, memory: int, *, retry_failed: bool = False) -> None:
        self._cluster, self._index, self._memory, self._retry = cluster, index, memory, retry_failed
        self._idle: list[Any] = [cluster.new_screener() for _ in range(cluster.workers)]
        self._reading: dict[Any, Job] = {}
        self._ready: deque[tuple[Job, Any]] = deque()
        self._screening: dict[Any, tuple[Job, Any]] = {}
        self._lost: deque[Job] = deque()
        self._lost_in_a_row = 0

    def describe(self) -> dict[str, Any]:
        """Wait for all workers, and say which version and weights they have.

        Raises
        ------
        ArchiveError
            If they have not all the same.
        """
        first, *others = [self._cluster.describe(screener) for screener in self._idle]
        if any(other != first for other in others):
            raise ArchiveError("The nodes of the cluster have different versions or weights. Install the same on all.")
        return first

    def close(self) -> None:
        """Let the workers go."""
        for screener in [*self._idle, *(screener for _, screener in self._screening.values())]:
            self._cluster.end(screener)

    def outcomes(self, found: FoundQueue) -> Iterator[tuple[Job, Outcome]]:
        """Give what came of each series, in the order in which they are done."""
        while True:
            self._start(found)
            self._assign()
            references = [*self._reading, *self._screening]
            if not references and not self._ready and not self._lost and found.exhausted:
                return
            for reference in self._cluster.wait(references, PATIENCE):
                if reference in self._reading:
                    self._ready.append((self._reading.pop(reference), reference))
                else:
                    yield from self._finish(reference)

    def _start(self, found: FoundQueue) -> None:
        """Begin to read as many series as there is room for."""
        while self._has_room():
            job = self._lost.popleft() if self._lost else self._next(found)
            if job is None:
                return
            self._reading[self._cluster.read(job.found)] = job

    def _has_room(self) -> bool:
        jobs = self._jobs()
        if not jobs:
            return True
        if self._lost or any(job.alone for job in jobs):
            return False
        taken = sum(job.found.voxel_bytes for job in jobs)
        return len(jobs) < self._cluster.in_flight and taken < self._memory

    def _next(self, found: FoundQueue) -> Job | None:
        while not found.exhausted:
            series = found.next(0 if self._jobs() else PATIENCE)
            if series is None:
                return None
            if any(job.found.key == series.key for job in self._jobs()):
                self._index.defer(series.key)  # found twice at a time: looked at once more at the end
            elif not self._index.is_done(series.key, series.listing, retry_failed=self._retry):
                return Job(series)
        return None

    def _assign(self) -> None:
        while self._ready and self._idle:
            job, read = self._ready.popleft()
            screener = self._idle.pop()
            reference = self._cluster.screen(screener, job.found, read, job.attempts)
            self._screening[reference] = (job, screener)

    def _finish(self, reference: Any) -> Iterator[tuple[Job, Outcome]]:
        job, screener = self._screening.pop(reference)
        try:
            outcome = self._cluster.outcome(reference)
        except WorkerLostError as error:
            self._replace(screener)
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= LOST_IN_A_ROW:
                raise ArchiveError(
                    f"{LOST_IN_A_ROW} workers ended one after the other: the last {error}. Use fewer --workers, a"
                    " smaller --memory-gib or a larger machine, and run this again to go on."
                ) from error
            if not job.alone:
                self._lost.append(Job(job.found, job.attempts + 1))
                return
            reason = f"its worker {error}, twice, the second time with nothing else at work. Use more memory."
            outcome = lost_outcome(job.found, reason, job.attempts)
        else:
            self._idle.append(screener)
            self._lost_in_a_row = 0
        yield job, outcome

    def _replace(self, screener: Any) -> None:
        self._cluster.end(screener)
        self._idle.append(self._cluster.new_screener())

    def _jobs(self) -> list[Job]:
        ready = [job for job, _ in self._ready]
        return [*self._reading.values(), *ready, *(job for job, _ in self._screening.values())]


def screen_all(flow: Flow, found: FoundQueue, index: Index, folder: Path, tell: Callable[[Job, Outcome], None]) -> None:
    """Screen everything that is found, and keep the results.

    Parameters
    ----------
    flow
        Does it.
    found
        What is to be screened.
    index, folder
        Get the results.
    tell
        Is called for each series.
    """
    written = time.monotonic()
    waiting = 0
    try:
        for job, outcome in flow.outcomes(found):
            index.put(job.found.key, job.found.listing, outcome.result, outcome.run)
            waiting += 1
            tell(job, outcome)
            if waiting >= ROWS_A_PART or time.monotonic() - written > SECONDS_A_PART:
                write_part(folder, index)
                written, waiting = time.monotonic(), 0
    finally:
        found.stop()
        write_part(folder, index)
