"""What is to be sent where: deliveries are planned when a job is done, tried again, given up, and tried anew."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable
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

_RETRIED: Final = "retried"

_log = logging.getLogger("tamperscan.serve.deliveries")


@dataclass(frozen=True)
class Delivery:
    """The results of one job on their way to one receiver."""

    id: int
    job: str
    destination: str
    state: str
    attempts: int
    refusals: int
    planned: float
    error: str
    study_uid: str
    accepted: frozenset[str]
    """SOP instance UIDs of the objects that the receiver has already."""


def result_files(folder: Path) -> list[Path]:
    """List the DICOM objects of a result folder: in it, or of each scan below it."""
    return sorted(path for path in folder.rglob("*.dcm") if path.parent.name == "dicom")


def pause_after(failures: int) -> float:
    """Give how many seconds to wait after so many failures on end."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20))


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
        """Plan what the rules say for the jobs that are done; gives for how many.

        A job whose results can't be read, and a destination that the rules no longer have, are dead letters: they hold
        up nobody.
        """
        self._give_up_unknown()
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
            problem = self._recognise(job["id"])
            state = "dead" if problem else "waiting"
            with self._database.transaction() as connection:
                connection.executemany(
                    "INSERT OR IGNORE INTO deliveries (job, destination, state, error, planned) VALUES (?, ?, ?, ?, ?)",
                    [(job["id"], name, state, problem, time.time()) for name in wanted],
                )
                connection.execute("UPDATE jobs SET planned = 1 WHERE id = ?", (job["id"],))
        return len(done)

    def own(self, job: str, uids: Iterable[str]) -> None:
        """Note objects as made here, before they are sent: a receiver may send them on to us at once."""
        with self._database.transaction() as connection:
            connection.executemany("INSERT OR IGNORE INTO own_objects VALUES (?, ?)", [(uid, job) for uid in uids])

    def _recognise(self, job: str) -> str:
        """Note a job's results as made here; gives why they can't be read, nothing where they can."""
        try:
            uids = [_uid(path) for path in result_files(self._database.home.result_folder(job))]
        except ServeError as error:
            _log.error("results can't be read", extra={"facts": {"job": job, "problem": str(error)}})
            return str(error)
        self.own(job, uids)
        return ""

    def _give_up_unknown(self) -> None:
        """Give up what waits for a destination that is not in the rules: nobody would ever send it."""
        rows = self._database.rows("SELECT DISTINCT destination FROM deliveries WHERE state = 'waiting'")
        for name in {row["destination"] for row in rows} - set(self._rules.destinations):
            problem = f"{name!r} is no destination of the rules any more. Name it there again, then start and retry."
            for delivery in self._waiting("d.destination = ?", (name,)):
                self._give_up(delivery, problem)

    def due(self, destination: str, now: float) -> list[Delivery]:
        """List what a receiver is to get now: what failed last comes last, else the oldest first."""
        return self._waiting("d.destination = ? AND d.not_before <= ?", (destination, now))

    def _waiting(self, which: str, values: tuple[object, ...]) -> list[Delivery]:
        rows = self._database.rows(
            "SELECT d.id, d.job, d.destination, d.state, d.attempts, d.refusals, d.planned, d.error, j.study_uid, "
            f"d.accepted FROM deliveries d JOIN jobs j ON j.id = d.job WHERE d.state = 'waiting' AND {which} "
            "ORDER BY d.not_before, d.planned, d.id LIMIT 100",
            values,
        )
        return [Delivery(**{**dict(row), "accepted": frozenset(row["accepted"].split())}) for row in rows]

    def untried(self, destination: str) -> bool:
        """Whether something waits for a receiver that was not tried since it was planned."""
        question = "SELECT 1 FROM deliveries WHERE state = 'waiting' AND destination = ? AND attempts = 0 LIMIT 1"
        return self._database.row(question, (destination,)) is not None

    def last_retry(self) -> str:
        """Give a mark that changes with every `retry_dead`, by whichever process."""
        return self._database.recall(_RETRIED)

    def accepted(self, delivery: Delivery, uids: Iterable[str]) -> None:
        """Note which objects of a delivery the receiver has, so that they are not sent again."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET accepted = ? WHERE id = ?",
                (" ".join(sorted(delivery.accepted.union(uids))), delivery.id),
            )

    def delivered(self, delivery: Delivery) -> None:
        """Note that a receiver has everything."""
        self._set(delivery.id, "done", "")

    def refused(self, delivery: Delivery, reason: str) -> None:
        """Note that a delivery must not be sent."""
        self._audit.append(REFUSED, job=delivery.job, receiver=delivery.destination, reason=reason)
        self._set(delivery.id, "refused", reason)

    def failed(self, delivery: Delivery, problem: str, now: float, *, unreachable: bool) -> float:
        """Note that a delivery failed; gives how many seconds it waits, 0 where it is given up.

        Parameters
        ----------
        delivery
            Which.
        problem
            Why, in one line.
        now
            Seconds since 1970.
        unreachable
            Whether the receiver could not be reached at all; that may last, and holds for all that is due to it.
        """
        attempts, refusals = delivery.attempts + 1, delivery.refusals + (not unreachable)
        if now - delivery.planned > GIVE_UP_SECONDS if unreachable else refusals >= MOST_REFUSALS:
            self._give_up(delivery, problem)
            return 0.0
        pause = pause_after(attempts)
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET attempts = ?, refusals = ?, error = ?, not_before = ? WHERE id = ?",
                (attempts, refusals, problem, now + pause, delivery.id),
            )
            if unreachable:
                connection.execute(
                    "UPDATE deliveries SET attempts = 1, error = ? WHERE destination = ? AND state = 'waiting' "
                    "AND attempts = 0 AND not_before <= ?",
                    (problem, delivery.destination, now),
                )
        facts = {"job": delivery.job, "receiver": delivery.destination, "problem": problem, "attempts": attempts}
        _log.warning("not delivered", extra={"facts": {**facts, "pause_seconds": pause}})
        return pause

    def _give_up(self, delivery: Delivery, problem: str) -> None:
        self._audit.append(REFUSED, job=delivery.job, receiver=delivery.destination, reason=problem)
        self._set(delivery.id, "dead", problem)
        facts = {"job": delivery.job, "receiver": delivery.destination, "problem": problem}
        _log.error("given up", extra={"facts": {**facts, "attempts": delivery.attempts}})

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
                "UPDATE deliveries SET state = ?, error = ?, finished = ? WHERE id = ? AND state != 'cancelled'",
                (state, error, utc_now(), id),
            )


def _uid(path: Path) -> str:
    try:
        return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
    except Exception as error:  # pydicom raises whatever the bytes provoke
        reason = getattr(error, "strerror", None) or "it is no whole DICOM object"
        raise ServeError(f"{path}: can't be read ({reason}). Check the disk, or screen its series again.") from error


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
            "UPDATE deliveries SET state = 'waiting', attempts = 0, refusals = 0, not_before = 0, error = '', "
            f"planned = ? WHERE state = 'dead'{which}",
            (time.time(), *values),
        )
        connection.execute(f"UPDATE deliveries SET not_before = 0 WHERE state = 'waiting'{which}", values)
        connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (_RETRIED, str(time.time_ns())))
    return outcome.rowcount
