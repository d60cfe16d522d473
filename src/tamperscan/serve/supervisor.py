"""Keeping one worker alive for each model that has work."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Final

from tamperscan.errors import ServeError
from tamperscan.serve.home import Home
from tamperscan.serve.queue import Queue

DEFAULT_MEMORY_GIB: Final = 6.0
"""Memory that a worker may take. What asks for more fails, and is told in the job."""

SHORTEST_LIFE_SECONDS: Final = 1.0
"""A worker that dies is not started again sooner than this after its start, twice as long each time."""

LONGEST_PAUSE_SECONDS: Final = 60.0

FRUITLESS_STARTS: Final = 3
"""After so many deaths in a row before a job was even begun, the jobs of the model go to the dead letters."""

_log = logging.getLogger("tamperscan.serve.supervisor")


@dataclass
class _Worker:
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    not_before: float = field(default=0.0)


class Supervisor:
    """Starts a worker process for each model that has jobs, and starts it again when it dies.

    A lock in the home sees to it that a node and a page have one set of workers: only who holds it starts any, and
    who does not asks for it again and again, so that the other takes over when the first ends.

    ::

        with Supervisor(home) as supervisor:
            ...

    Parameters
    ----------
    home
        Whose jobs; it must be prepared.
    memory_gib
        Memory that each worker may take, in GiB.
    poll_seconds
        How often to look.
    """

    def __init__(self, home: Home, *, memory_gib: float = DEFAULT_MEMORY_GIB, poll_seconds: float = 0.25) -> None:
        if memory_gib <= 0:
            raise ServeError(f"{memory_gib:g} GiB of memory is none. Give a worker at least 1.")
        self.home = home
        self._memory_gib, self._poll_seconds = memory_gib, poll_seconds
        self._queue = Queue(home)
        self._workers: dict[str, _Worker] = {}
        self._lock_file = os.open(home.root / "workers.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._holds_lock = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    @property
    def in_charge(self) -> bool:
        """Whether this one, and no other process, starts the workers of the home."""
        return self._holds_lock

    def start(self) -> Supervisor:
        """Begin; workers are started as jobs appear."""
        self._thread.start()
        return self

    def stop(self, *, patience_seconds: float = 10.0) -> None:
        """End, with the workers: they are asked first, and killed after a while. Their jobs are queued again."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()
        processes = [worker.process for worker in self._workers.values() if worker.process is not None]
        for process in processes:
            process.terminate()
        until = time.monotonic() + patience_seconds
        for process in processes:
            try:
                process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._workers.clear()
        os.close(self._lock_file)
        self._queue.database.close()

    def __enter__(self) -> Supervisor:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._ending.wait(self._poll_seconds):
            try:
                if self._take_charge():
                    self._look_after_workers()
            except Exception:
                _log.exception("supervisor failed; it goes on")

    def _take_charge(self) -> bool:
        if not self._holds_lock:
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            self._holds_lock = True
            self._queue.forgive_orphans()
        return True

    def _look_after_workers(self) -> None:
        for model in self._queue.models_waiting():
            self._workers.setdefault(model, _Worker())
        for model, worker in self._workers.items():
            if worker.process is not None and worker.process.poll() is not None:
                self._bury(model, worker)
            if worker.process is None and time.monotonic() >= worker.not_before and self._has_work(model):
                self._start_worker(model, worker)

    def _has_work(self, model: str) -> bool:
        return model in self._queue.models_waiting()

    def _start_worker(self, model: str, worker: _Worker) -> None:
        words = ["--home", str(self.home.root), "--model", model, "--memory-gib", str(self._memory_gib)]
        worker.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tamperscan.serve.worker", *words, "--parent", str(os.getpid())],
            stdin=subprocess.DEVNULL,
        )
        worker.started = time.monotonic()

    def _bury(self, model: str, worker: _Worker) -> None:
        """Note a worker's end: at once where it ended well, with a pause where it died."""
        assert worker.process is not None
        code, lived = worker.process.returncode, time.monotonic() - worker.started
        worker.process = None
        worker.failures = 0 if code == 0 or lived > LONGEST_PAUSE_SECONDS else worker.failures + 1
        pause = min(LONGEST_PAUSE_SECONDS, SHORTEST_LIFE_SECONDS * 2.0**worker.failures) if worker.failures else 0.0
        worker.not_before = time.monotonic() + pause
        orphans = self._queue.requeue_orphans(model)
        if worker.failures >= FRUITLESS_STARTS and not orphans:
            self._queue.fail_waiting(
                model, "no worker could be started for it; its log tells why. Perhaps too little memory"
            )
        if code != 0:
            _log.warning("worker died", extra={"facts": {"model": model, "code": code, "pause_seconds": pause}})
