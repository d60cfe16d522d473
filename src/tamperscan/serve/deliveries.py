"""What is to be sent where: deliveries are planned when a job is done, tried again, given up, and tried anew."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom import dcmread

from tamperscan.errors import ServeError
from tamperscan.serve.audit import REFUSED, AuditLog
from tamperscan.serve.database import Database
from tamperscan.serve.queue import utc_now
from tamperscan.serve.rules import Rules

GIVE_UP_SECONDS: Final = 7 * 86400.0
"""How long a receiver may be out of reach before what is meant for it goes to the dead letters."""

MOST_REFUSALS: Final = 8
"""How often a receiver that is there may refuse a delivery before it goes to the dead letters."""

FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 900.0

_log = logging.getLogger("tamperscan.serve.deliveries")


@dataclass(frozen=True)
class Delivery:
    """The results of one job on their way to one receiver."""

    id: int
    job: str
    destination: str
    state: str
    attempts: int
    planned: float
    error: str
    study_uid: str


def result_files(folder: Path) -> list[Path]:
    """List the DICOM objects of a result folder: in it, or of each scan below it."""
    return sorted(path for path in folder.rglob("*.dcm") if path.parent.name == "dicom")


class Deliveries:
    """The deliveries of a node.

    Parameters
    ----------
    database, rules, audit
        Of the node.
    """

    def __init__(self, database: Database, rules: Rules, audit: AuditLog) -> None:
        self._database, self._rules, self._audit = database, rules, audit

    def plan(self) -> int:
        """Plan what the rules say for the jobs that are done; gives for how many."""
        done = self._database.rows(
            "SELECT id, rule, superseded FROM jobs INDEXED BY jobs_unplanned "
            "WHERE state = 'done' AND origin IN ('node', 'pull') AND planned = 0"
        )
        for job in done:
            rule = self._rules.rule_named(job["rule"])
            wanted = () if rule is None or job["superseded"] else rule.send_to
            if wanted and self._is_forged(job["id"]):
                self._audit.append(REFUSED, job=job["id"], reason="images forged by tamperscan are never sent")
                wanted = ()
            own = [_uid(path) for path in result_files(self._database.home.result_folder(job["id"]))]
            with self._database.transaction() as connection:
                # Known before they are sent: a receiver may send them on to us at once.
                connection.executemany(
                    "INSERT OR IGNORE INTO own_objects VALUES (?, ?)", [(uid, job["id"]) for uid in own]
                )
                connection.executemany(
                    "INSERT OR IGNORE INTO deliveries (job, destination, planned) VALUES (?, ?, ?)",
                    [(job["id"], name, time.time()) for name in wanted],
                )
                connection.execute("UPDATE jobs SET planned = 1 WHERE id = ?", (job["id"],))
        return len(done)

    def due(self, destination: str, now: float) -> list[Delivery]:
        """List what a receiver is to get now, the oldest first."""
        rows = self._database.rows(
            "SELECT d.id, d.job, d.destination, d.state, d.attempts, d.planned, d.error, j.study_uid FROM deliveries d "
            "JOIN jobs j ON j.id = d.job WHERE d.destination = ? AND d.state = 'waiting' AND d.not_before <= ? "
            "ORDER BY d.planned, d.id LIMIT 100",
            (destination, now),
        )
        return [Delivery(*row) for row in rows]

    def delivered(self, delivery: Delivery) -> None:
        """Note that a receiver has everything."""
        self._set(delivery.id, "done", "")

    def refused(self, delivery: Delivery, reason: str) -> None:
        """Note that a delivery must not be sent."""
        self._audit.append(REFUSED, job=delivery.job, receiver=delivery.destination, reason=reason)
        self._set(delivery.id, "refused", reason)

    def failed(self, delivery: Delivery, problem: str, now: float, *, unreachable: bool) -> float:
        """Note that a delivery failed; gives how many seconds it waits.

        Parameters
        ----------
        delivery
            Which.
        problem
            Why, in one line.
        now
            Seconds since 1970.
        unreachable
            Whether the receiver could not be reached at all; that may last.
        """
        attempts = delivery.attempts + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 20))
        give_up = now - delivery.planned > GIVE_UP_SECONDS if unreachable else attempts >= MOST_REFUSALS
        facts = {"job": delivery.job, "receiver": delivery.destination, "problem": problem, "attempts": attempts}
        if give_up:
            self._audit.append(REFUSED, job=delivery.job, receiver=delivery.destination, reason=problem)
            self._set(delivery.id, "dead", problem)
            _log.error("given up", extra={"facts": facts})
            return 0.0
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET attempts = ?, error = ?, not_before = ? WHERE id = ?",
                (attempts, problem, now + pause, delivery.id),
            )
        _log.warning("not delivered", extra={"facts": {**facts, "pause_seconds": pause}})
        return pause

    def forget_originals(self) -> int:
        """Delete the images that their rule does not keep, once all that was made of them is delivered.

        Returns
        -------
        int
            Of how many jobs.
        """
        rows = self._database.rows(
            "SELECT DISTINCT j.id FROM jobs j JOIN job_instances m ON m.job = j.id "
            "JOIN instances i INDEXED BY instances_passing ON i.id = m.instance WHERE i.passing = 1 AND i.kept = 1 "
            "AND (j.state = 'done' AND j.planned = 1 OR j.state = 'skipped') "
            "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.job = j.id AND d.state IN ('waiting', 'dead'))"
        )
        for row in rows:
            self._forget(row["id"])
        return len(rows)

    def _forget(self, job: str) -> None:
        """Delete a job's images, but those that another job still needs.

        The links of its source folder go first: after a crash the rows would still say that there is something to do.
        """
        shutil.rmtree(self._database.home.source_folder(job), ignore_errors=True)
        with self._database.transaction() as connection:
            instances = connection.execute(
                "SELECT i.id, i.file FROM instances i JOIN job_instances m ON m.instance = i.id "
                "WHERE m.job = ? AND i.passing = 1 AND i.kept = 1 AND NOT EXISTS ("
                "SELECT 1 FROM job_instances o JOIN jobs j ON j.id = o.job WHERE o.instance = i.id AND j.id != ? AND ("
                "j.state IN ('queued', 'running', 'failed') OR j.state = 'done' AND j.planned = 0 OR EXISTS ("
                "SELECT 1 FROM deliveries d WHERE d.job = j.id AND d.state IN ('waiting', 'dead'))))",
                (job, job),
            ).fetchall()
            connection.executemany("UPDATE instances SET kept = 0 WHERE id = ?", [(row["id"],) for row in instances])
        for row in instances:
            (self._database.home.spool / row["file"]).unlink(missing_ok=True)

    def _is_forged(self, job: str) -> bool:
        question = (
            "SELECT 1 FROM job_instances m JOIN instances i ON i.id = m.instance WHERE m.job = ? AND i.forged = 1"
        )
        return self._database.row(question, (job,)) is not None

    def _set(self, id: int, state: str, error: str) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET state = ?, error = ?, finished = ? WHERE id = ?", (state, error, utc_now(), id)
            )


def _uid(path: Path) -> str:
    dataset = dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
    uid = dataset.get("SOPInstanceUID")
    if not uid:
        raise ServeError(f"{path}: has no SOP instance UID. Screen its series again.")
    return str(uid)


def retry_dead(database: Database, job: str | None = None) -> int:
    """Try dead letters again: of one job, or all; gives how many. Those that wait are tried at once.

    Parameters
    ----------
    database
        Of the node, which may be running.
    job
        One job; None for all.
    """
    which, values = ("", ()) if job is None else (" AND job = ?", (job,))
    with database.transaction() as connection:
        outcome = connection.execute(
            "UPDATE deliveries SET state = 'waiting', attempts = 0, not_before = 0, error = '', planned = ? "
            f"WHERE state = 'dead'{which}",
            (time.time(), *values),
        )
        connection.execute(f"UPDATE deliveries SET not_before = 0 WHERE state = 'waiting'{which}", values)
    return outcome.rowcount
