"""How a node is: counts of everything, and its dead letters."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tamperscan.serve.admission import kept_bytes
from tamperscan.serve.database import Database
from tamperscan.serve.home import Home


@dataclass(frozen=True)
class DeadLetter:
    """Something that was given up, until it is tried again.

    Attributes
    ----------
    job
        The job.
    what
        ``"screening"``, or the receiver that did not take its results.
    error
        Why it failed last.
    """

    job: str
    what: str
    error: str


@dataclass(frozen=True)
class Status:
    """The state of a home.

    Attributes
    ----------
    running, draining
        Whether a node runs on it, and is about to end.
    instances, jobs, verdicts, commitments
        How many there are, by state or verdict.
    deliveries
        How many there are, by (destination, state).
    conflicts
        Instances that came with other pixels under a known UID.
    dead_letters
        What was given up.
    spool_bytes, free_bytes
        What instances take, and what is free on the disk.
    oldest_seconds
        For how long the oldest job waits.
    """

    running: bool
    draining: bool
    instances: dict[str, int]
    jobs: dict[str, int]
    verdicts: dict[str, int]
    deliveries: dict[tuple[str, str], int]
    commitments: dict[str, int]
    conflicts: int
    spool_bytes: int
    free_bytes: int
    oldest_seconds: float
    dead_letters: list[DeadLetter] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Give it as plain values."""
        plain = {name: value for name, value in vars(self).items() if name not in ("deliveries", "dead_letters")}
        plain["deliveries"] = [
            {"destination": destination, "state": state, "count": count}
            for (destination, state), count in self.deliveries.items()
        ]
        plain["dead_letters"] = [vars(letter) for letter in self.dead_letters]
        return plain


def read_status(database: Database) -> Status:
    """Read the state of a home.

    Parameters
    ----------
    database
        Its database.
    """
    disk = os.statvfs(database.home.root)
    deliveries = database.rows("SELECT destination, state, COUNT(*) AS n FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2")
    conflicts = database.row("SELECT COUNT(*) AS n FROM instances WHERE version > 0")
    return Status(
        running=node_runs(database.home),
        draining=database.recall("drain") == "1",
        instances=_counts(database, "instances", "state"),
        jobs=_counts(database, "jobs", "state"),
        verdicts=_counts(database, "jobs", "verdict", "WHERE state = 'done' AND superseded = 0"),
        deliveries={(row["destination"], row["state"]): int(row["n"]) for row in deliveries},
        commitments=_counts(database, "commitments", "state"),
        conflicts=int(conflicts["n"]) if conflicts else 0,
        spool_bytes=kept_bytes(database),
        free_bytes=disk.f_bavail * disk.f_frsize,
        oldest_seconds=_oldest(database),
        dead_letters=_dead_letters(database),
    )


def node_runs(home: Home) -> bool:
    """Whether a node runs on a home: it holds a lock for life."""
    try:
        file = os.open(home.root / "node.lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _counts(database: Database, table: str, column: str, where: str = "") -> dict[str, int]:
    rows = database.rows(f"SELECT {column} AS what, COUNT(*) AS n FROM {table} {where} GROUP BY 1 ORDER BY 1")
    return {str(row["what"]): int(row["n"]) for row in rows}


def _oldest(database: Database) -> float:
    row = database.row("SELECT MIN(received) AS first FROM jobs WHERE state IN ('queued', 'running')")
    if row is None or row["first"] is None:
        return 0.0
    return max(0.0, time.time() - datetime.fromisoformat(row["first"]).astimezone(UTC).timestamp())


def _dead_letters(database: Database) -> list[DeadLetter]:
    jobs = database.rows("SELECT id, error FROM jobs WHERE state = 'failed' ORDER BY received")
    sent = database.rows("SELECT job, destination, error FROM deliveries WHERE state = 'dead' ORDER BY planned")
    return [DeadLetter(row["id"], "screening", row["error"]) for row in jobs] + [
        DeadLetter(row["job"], row["destination"], row["error"]) for row in sent
    ]
