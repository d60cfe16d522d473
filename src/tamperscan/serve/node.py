"""The node: it listens, sees to it that everything that belongs to it runs, and ends in good order."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Final

from tamperscan.errors import ServeError
from tamperscan.serve.audit import AuditLog
from tamperscan.serve.database import Database
from tamperscan.serve.deliveries import Deliveries
from tamperscan.serve.grouping import Grouper
from tamperscan.serve.home import Home
from tamperscan.serve.indexing import Indexer
from tamperscan.serve.leftovers import clear_leftovers, clear_parts
from tamperscan.serve.metrics import Metrics
from tamperscan.serve.reports import Reports
from tamperscan.serve.rules import Rules
from tamperscan.serve.sender import Sender
from tamperscan.serve.status import read_status
from tamperscan.serve.supervisor import Supervisor

LOOK_SECONDS: Final = 0.2
RECEIVERS_END_SECONDS: Final = 30.0
OLD_RECEIVERS_SECONDS: Final = 30.0
_BACKLOG: Final = 512

_log = logging.getLogger("tamperscan.serve.node")


@dataclass
class _Receiver:
    process: subprocess.Popen[bytes]
    started: float


class Node:
    """A DICOM node on a home.

    ::

        node = Node(home, read_rules(path))
        node.run()  # until `end` or `drain` is called, from a signal or from another process

    Parameters
    ----------
    home
        Where everything is kept.
    rules
        What it does with what arrives.

    Raises
    ------
    ServeError
        If another node runs on the home, or the port is taken.
    """

    def __init__(self, home: Home, rules: Rules) -> None:
        home.prepare()
        self.home, self.rules, self.settings = home, rules, rules.node
        self._lock = _own(home)
        _wait_for_old_receivers(home)
        self.database = Database(home)
        self.database.remember("drain", "")
        leftovers = clear_leftovers(home, self.database)
        self._listening = _listen(self.settings.host, self.settings.port)
        self.port = int(self._listening.getsockname()[1])
        self._audit = AuditLog(home.audit_log)
        self._metrics = Metrics(self.settings.metrics_port, lambda: read_status(self.database), self.problems)
        self._deliveries = Deliveries(self.database, rules, self._audit)
        self._senders = [
            Sender(
                name,
                destination,
                calling=self.settings.ae_title,
                home=home,
                deliveries=self._deliveries,
                audit=self._audit,
            )
            for name, destination in rules.destinations.items()
        ]
        self._reports = Reports(self.database, self.settings)
        self._supervisor = Supervisor(home, memory_gib=self.settings.memory_gib)
        self._receivers: list[_Receiver] = []
        self._ending, self._clerk_ending, self._receiving_over = (threading.Event() for _ in range(3))
        self._clerk = threading.Thread(target=self._run_clerk, name="clerk", daemon=True)
        self._clerk_failure = ""
        _log.info("started", extra={"facts": {"port": self.port, "leftovers": leftovers}})

    @property
    def metrics_port(self) -> int:
        """Port of health and metrics."""
        return self._metrics.port

    def run(self) -> None:
        """Work until told to end."""
        if not self.settings.peers and self.settings.host not in ("127.0.0.1", "::1", "localhost"):
            _log.warning("whoever reaches the port may send; name who may under node.peers")
        self._audit.append("node-started", port=self.port, ae_title=self.settings.ae_title)
        self._metrics.start()
        self._supervisor.start()
        self._reports.start()
        for sender in self._senders:
            sender.start()
        self._clerk.start()
        try:
            self._watch()
        finally:
            self._stop()

    def end(self) -> None:
        """End soon: take nothing more, and leave what waits to the next start."""
        self._ending.set()

    def problems(self) -> list[str]:
        """Tell what is wrong with the node, nothing where it is well."""
        wrong = []
        if not self._ending.is_set() and not any(one.process.poll() is None for one in self._receivers):
            wrong.append("no receiver runs")
        if self._clerk_failure:
            wrong.append(f"instances can't be sorted: {self._clerk_failure}")
        disk = os.statvfs(self.home.spool)
        if disk.f_bavail * disk.f_frsize < self.settings.keep_free_gib * 2**30:
            wrong.append("the disk is full")
        return wrong

    def _watch(self) -> None:
        while not self._ending.is_set():
            self._keep_receivers()
            if self.database.recall("drain") == "1":
                self._drain()
                return
            self._ending.wait(LOOK_SECONDS)

    def _keep_receivers(self) -> None:
        for receiver in [one for one in self._receivers if one.process.poll() is not None]:
            _log.error("receiver died", extra={"facts": {"code": receiver.process.returncode}})
            clear_parts(self.home, receiver.process.pid)
            self._receivers.remove(receiver)
            if time.monotonic() - receiver.started < 1.0:
                time.sleep(1.0)  # what dies at once would die again at once
        while len(self._receivers) < self.settings.receivers:
            self._receivers.append(self._start_receiver())

    def _start_receiver(self) -> _Receiver:
        listening = self._listening.fileno()
        words = ["--home", str(self.home.root), "--socket", str(listening), "--parent", str(os.getpid())]
        # It holds the lock from its first moment, before it has loaded anything, and for life: a node that starts after
        # a crash must not overlook it.
        alive = _open_receivers_lock(self.home)
        try:
            fcntl.flock(alive, fcntl.LOCK_SH)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tamperscan.serve.receiver", *words],
                stdin=subprocess.PIPE,
                pass_fds=[listening, alive],
            )
        finally:
            os.close(alive)
        assert process.stdin is not None
        with process.stdin as stream:
            stream.write(self.settings.model_dump_json().encode())
        return _Receiver(process, time.monotonic())

    def _stop_receivers(self) -> None:
        self._listening.close()
        for receiver in self._receivers:
            receiver.process.terminate()
        until = time.monotonic() + RECEIVERS_END_SECONDS
        for receiver in self._receivers:
            try:
                receiver.process.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                receiver.process.kill()
                receiver.process.wait()
        self._receivers.clear()

    def _drain(self) -> None:
        """Take nothing more, screen what is there, try to deliver all of it, and end.

        What can't be delivered waits for the next start: a receiver may be out of reach for days.
        """
        _log.info("draining")
        self._stop_receivers()
        self._receiving_over.set()
        for sender in self._senders:
            sender.try_now()
        while not self._ending.is_set() and (
            self._unfinished() or any(sender.is_owed_a_try() for sender in self._senders)
        ):
            self._ending.wait(LOOK_SECONDS)

    def _unfinished(self) -> bool:
        """Whether something is left to do that needs no one else."""
        questions = (
            "SELECT 1 FROM instances WHERE state IN ('received', 'waiting')",
            "SELECT 1 FROM jobs WHERE state IN ('queued', 'running')",
            "SELECT 1 FROM jobs WHERE state = 'done' AND origin IN ('node', 'pull') AND planned = 0",
        )
        return any(self.database.row(f"{question} LIMIT 1") is not None for question in questions)

    def _stop(self) -> None:
        self._ending.set()
        self._stop_receivers()
        self._clerk_ending.set()
        self._clerk.join()
        for sender in self._senders:
            sender.stop()
        self._reports.stop()
        self._supervisor.stop()
        self._metrics.stop()
        self._audit.append("node-ended")
        self.database.remember("drain", "")
        self.database.close()
        os.close(self._lock)
        _log.info("ended")

    def _run_clerk(self) -> None:
        """Sort what was received, queue what is complete, plan what is to be sent, again and again."""
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)  # receiving comes first
        indexer = Indexer(self.database, self.rules, self._audit)
        grouper = Grouper(self.database, self.rules, started=time.time())
        while not self._clerk_ending.is_set():
            try:
                busy = self._work(indexer, grouper)
                self._clerk_failure = ""
            except Exception as error:  # a full disk, say: it may pass
                _log.exception("clerk failed; it goes on")
                self._clerk_failure, busy = type(error).__name__, False
                self._clerk_ending.wait(1.0)
            if not busy:
                self._clerk_ending.wait(LOOK_SECONDS)

    def _work(self, indexer: Indexer, grouper: Grouper) -> bool:
        busy = indexer.index() > 0
        grouper.close_quiet(at_once=self._receiving_over.is_set() and not busy)
        self._deliveries.plan()
        self._deliveries.forget_originals()
        return busy or indexer.digest()


def _own(home: Home) -> int:
    """Hold the lock of a home for life."""
    file = os.open(home.root / "node.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise ServeError(f"{home.root}: a node runs on it. End that one first, or name another --home.") from None
    return file


def _open_receivers_lock(home: Home) -> int:
    return os.open(home.root / "receivers.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _wait_for_old_receivers(home: Home) -> None:
    """Wait until the receivers of a node that crashed are gone: what they acknowledge must not be cleared away."""
    file = _open_receivers_lock(home)
    until = time.monotonic() + OLD_RECEIVERS_SECONDS
    try:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise ServeError(f"{home.root}: receivers of an earlier node still run. End them.") from None
                time.sleep(0.05)
    finally:
        os.close(file)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except OSError as error:
        raise ServeError(
            f"{host}:{port} can't be listened on ({error.strerror}). Set node.host and node.port to others."
        ) from error
    return listening
