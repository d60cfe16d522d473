"""Processes that read for this one: started when first needed, kept for the next path, ended with this one.

They are told apart from those of a process that this one was forked from, and no two threads share one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from tamperscan.scan.channel import Channel, ChannelError
from tamperscan.scan.limits import Limits

KEPT: Final = 2
"""Idle processes that are kept for the next path."""

_START: Final = "import sys; sys.path.append(sys.argv[1]); from tamperscan.scan.reader import main; main()"
_PACKAGE: Final = str(Path(__file__).parents[2])


class ReaderLostError(Exception):
    """The reader's process ended or hung.

    Parameters
    ----------
    problem
        What happened, in words that follow the name of a file.
    file
        The file and the stage that it had in hand; None where it had none.
    hung
        Whether it was ended here, after its time.
    """

    def __init__(self, problem: str, file: tuple[str, str] | None, *, hung: bool = False) -> None:
        super().__init__(problem)
        self.problem, self.file, self.hung = problem, file, hung


class Process:
    """A reader's process, and which files it has in hand.

    Parameters
    ----------
    limits
        Which it keeps to for all its life.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits, self.owner = limits, os.getpid()
        ours, theirs = socket.socketpair()
        arguments = [_PACKAGE, str(theirs.fileno()), json.dumps(asdict(limits))]
        quiet = None if os.environ.get("TAMPERSCAN_DEBUG", "") not in ("", "0") else subprocess.DEVNULL
        # A reader needs no threads for arithmetic, and their memory would count.
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=quiet,
                env=surroundings,
                pass_fds=[theirs.fileno()],
            )
        self.channel = Channel(ours)
        self._in_hand: dict[int, tuple[float, tuple[str, str]]] = {}

    def ask(self, message: dict[str, Any]) -> None:
        """Send a request."""
        try:
            self.channel.send(message)
        except ChannelError:
            raise self._lost() from None

    def answer(self) -> dict[str, Any]:
        """Wait for the next message that is no mere sign of life; raises ReaderLostError."""
        while True:
            try:
                message = self.channel.receive(self._patience())
            except TimeoutError:
                message = {}
            except ChannelError:
                raise self._lost() from None
            self._check_time()
            if "at" in message:
                self._note(*message["at"])
            elif message:
                return message

    def _note(self, thread: int, *key: str) -> None:
        self._in_hand.pop(thread, None)
        if len(key) == 2:
            self._in_hand[thread] = (time.monotonic(), (key[0], key[1]))

    def _patience(self) -> float:
        """Seconds until the file that is longest in hand has had its time."""
        began = min((since for since, _ in self._in_hand.values()), default=time.monotonic())
        return max(0.01, began + self.limits.seconds_a_file - time.monotonic())

    def _check_time(self) -> None:
        for since, key in self._in_hand.values():
            if time.monotonic() - since >= self.limits.seconds_a_file:
                self.end()
                problem = f"takes longer than the {self.limits.seconds_a_file:g} s that reading one file may take"
                raise ReaderLostError(problem, key, hung=True)

    def _lost(self) -> ReaderLostError:
        """Find out how the process ended, and over which file."""
        self.end(wait=2.0)
        status = self._process.returncode
        how = f"signal {-status}" if status < 0 else f"status {status}"
        _, key = min(self._in_hand.values(), default=(0.0, None))
        return ReaderLostError(f"ended the process that read it ({how})", key)

    def settle(self) -> None:
        """Forget which files were in hand."""
        self._in_hand.clear()

    def end(self, wait: float = 0.0) -> None:
        """End the process, if it is ours; with some patience where it is about to end by itself."""
        self.channel.close()
        if self.owner != os.getpid():
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            if wait:
                self._process.wait(wait)
        self._process.kill()
        self._process.wait()


class Idle:
    """Processes that wait for the next path."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Process] = []

    def take(self, limits: Limits) -> Process:
        """Give a process that keeps to these limits; raises OSError if none can be started."""
        with self._lock:
            for process in self._waiting:
                if process.limits == limits and process.owner == os.getpid():
                    self._waiting.remove(process)
                    return process
        return Process(limits)

    def prepare(self, limits: Limits) -> None:
        """Have a process wait that keeps to these limits; raises OSError if none can be started."""
        self.give(self.take(limits))

    def give(self, process: Process) -> None:
        """Take a process back that has nothing to do."""
        with self._lock:
            if len(self._waiting) < KEPT and process.owner == os.getpid():
                self._waiting.append(process)
                return
        process.end()

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            while self._waiting:
                self._waiting.pop().end()

    def forget(self) -> None:
        """Let go of a parent's processes, after a fork; its lock may be held by a thread that is not here."""
        self._lock = threading.Lock()
        for process in self._waiting:
            process.channel.close()
        self._waiting = []


idle: Final = Idle()
atexit.register(idle.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=idle.forget)
