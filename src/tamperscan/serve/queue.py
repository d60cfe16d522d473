"""The queue of what is to be screened, and what came of it."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from tamperscan.errors import ServeError
from tamperscan.serve.audit import NOT_SCREENED, SCREENED, Fact
from tamperscan.serve.database import Database
from tamperscan.serve.home import Home
from tamperscan.serve.job import Decision, Job, Origin, State, job_id, utc_now
from tamperscan.serve.revisions import take_place
from tamperscan.serve.telling import keep, tell

__all__ = ["Decision", "Job", "Origin", "Queue", "State", "job_id", "utc_now"]

MOST_ATTEMPTS: Final = 4
"""How often a job is tried before it goes to the dead letters."""

FIRST_PAUSE_SECONDS: Final = 10.0
"""Pause after the first failure; each further one is three times as long."""


_COLUMNS: Final = ", ".join(field.name for field in fields(Job))


class Queue:
    """The jobs of a home, for any number of processes and threads.

    Parameters
    ----------
    home
        Whose; it must be prepared.
    database
        An open connection to use; None to open one.

    Raises
    ------
    ServeError
        If the database can't be used.
    """

    def __init__(self, home: Home, database: Database | None = None) -> None:
        self.home = home
        self.database = database or Database(home)

    def add(
        self,
        key: str,
        *,
        origin: Origin,
        model: str,
        source: str,
        head: str | None = None,
        alarm_rate: float | None = None,
        title: str = "",
        note: str = "",
        modality: str = "",
        study_uid: str = "",
        series_uid: str = "",
        sender: str = "",
        rule: str = "",
        version: int = 0,
        revision: int = 1,
        state: State = "queued",
    ) -> Job:
        """Queue a job; a job of the same key is given back as it is.

        Parameters
        ----------
        key
            What tells this job from others, such as the hashes of its images and the detector.
        origin, model, source, head, alarm_rate, title, note, modality, study_uid, series_uid, sender, rule
            As in `Job`.
        version, revision, state
            As in `Job`.
        """
        values = {
            "id": job_id(key),
            "key": key,
            "origin": origin,
            "state": state,
            "model": model,
            "source": source,
            "head": head,
            "alarm_rate": alarm_rate,
            "title": title,
            "note": note,
            "modality": modality,
            "study_uid": study_uid,
            "series_uid": series_uid,
            "sender": sender,
            "rule": rule,
            "version": version,
            "revision": revision,
            "received": utc_now(),
        }
        with self.database.transaction() as connection:
            insert_job(connection, values)
        return self.job(job_id(key))

    def knows(self, key: str) -> bool:
        """Whether there is a job of a key."""
        return self.database.row("SELECT 1 FROM jobs WHERE id = ?", (job_id(key),)) is not None

    def job(self, id: str) -> Job:
        """Give a job.

        Raises
        ------
        ServeError
            If there is none of that id.
        """
        row = self.database.row(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (id,))
        if row is None:
            raise ServeError(f"{id!r} is no job. Take the id from `tamperscan node status --json`.")
        return _job(row)

    def jobs(
        self,
        state: State | None = None,
        verdict: str | None = None,
        decision: str | None = None,
        text: str | None = None,
        limit: int = 100,
        offset: int = 0,
        *,
        superseded: bool = False,
    ) -> list[Job]:
        """List jobs, the latest first.

        Parameters
        ----------
        state, verdict, decision
            Only these; a decision of ``""`` means those that wait for one.
        text
            Only those that hold it in title, sender, modality, model or a UID, in any case of letters.
        limit, offset
            How many, and how many to pass over.
        superseded
            Whether to list revisions that a later one replaced.
        """
        wanted, values = _wanted(state, verdict, decision, text, superseded)
        question = f"SELECT {_COLUMNS} FROM jobs{wanted} ORDER BY received DESC, id LIMIT ? OFFSET ?"
        return [_job(row) for row in self.database.rows(question, (*values, limit, offset))]

    def count(
        self,
        state: State | None = None,
        verdict: str | None = None,
        decision: str | None = None,
        text: str | None = None,
        *,
        superseded: bool = False,
    ) -> int:
        """Count the jobs that `jobs` would list without a limit."""
        wanted, values = _wanted(state, verdict, decision, text, superseded)
        row = self.database.row(f"SELECT COUNT(*) AS n FROM jobs{wanted}", values)
        return int(row["n"]) if row else 0

    def claim(self, model: str, worker: str = "") -> Job | None:
        """Take the job of a model that waits longest; None where none is due.

        Parameters
        ----------
        model
            Which model the worker has loaded.
        worker
            Who takes it.
        """
        with self.database.transaction() as connection:
            row = connection.execute(
                "SELECT id FROM jobs WHERE state = 'queued' AND model = ? AND not_before <= ? "
                "ORDER BY received, id LIMIT 1",
                (model, time.time()),
            ).fetchone()
            if row is None:
                return None
            connection.execute(
                "UPDATE jobs SET state = 'running', attempts = attempts + 1, progress = 0, worker = ? WHERE id = ?",
                (worker, row["id"]),
            )
        return self.job(row["id"])

    def models_waiting(self) -> list[str]:
        """List the models that have jobs waiting or running."""
        rows = self.database.rows("SELECT DISTINCT model FROM jobs WHERE state IN ('queued', 'running')")
        return [str(row["model"]) for row in rows]

    def report_progress(self, id: str, progress: float) -> None:
        """Say how much of a running job is done, 0 to 1."""
        with self.database.transaction() as connection:
            connection.execute("UPDATE jobs SET progress = ? WHERE id = ? AND state = 'running'", (progress, id))

    def finish(
        self, id: str, *, verdict: str, score: float | None, p_value: float | None, weights_sha256: str = ""
    ) -> None:
        """Say what came of a job, to the audit trail as well; its result folder must be complete by now.

        A revision takes the place of those before it only now: one that can't be screened hides nothing.
        """
        came = {"verdict": verdict, "score": score, "p_value": p_value}
        with self.database.transaction() as connection:
            outcome = connection.execute(
                "UPDATE jobs SET state = 'done', progress = 1, error = '', verdict = :verdict, score = :score, "
                "p_value = :p_value, finished = :now WHERE id = :id AND state = 'running'",
                {**came, "now": utc_now(), "id": id},
            )
            if outcome.rowcount:
                take_place(connection, id)
                self._keep(connection, id, SCREENED, **came, weights_sha256=weights_sha256)
        self.tell()

    def fail(self, id: str, error: str, *, final: bool = False) -> Job:
        """Say that a job failed; it waits for its next try, or goes to the dead letters after the last.

        Parameters
        ----------
        id
            The job.
        error
            Why, in one line.
        final
            Whether trying again is of no use, as for a source that holds no scan.
        """
        with self.database.transaction() as connection:
            if _fail(connection, id, error, final=final):
                self._keep(connection, id, NOT_SCREENED, reason=error)
        self.tell()
        return self.job(id)

    def requeue_orphans(self, model: str) -> list[str]:
        """Queue again what a dead worker of a model left running; call it where no such worker lives.

        Returns
        -------
        list of str
            The jobs.
        """
        with self.database.transaction() as connection:
            rows = connection.execute("SELECT id FROM jobs WHERE state = 'running' AND model = ?", (model,)).fetchall()
            reason = "the worker died while it screened this; perhaps too little memory"
            for row in rows:
                if _fail(connection, row["id"], reason):
                    self._keep(connection, row["id"], NOT_SCREENED, reason=reason)
        self.tell()
        return [str(row["id"]) for row in rows]

    def forgive_orphans(self) -> None:
        """Queue again at once what was running when everything ended, a power cut say: it was no fault of the jobs."""
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = 'queued', attempts = MAX(0, attempts - 1), not_before = 0 "
                "WHERE state = 'running'"
            )
        self.tell()

    def fail_waiting(self, model: str, error: str) -> None:
        """Send every job that waits for a model to the dead letters: nothing can screen it."""
        with self.database.transaction() as connection:
            given_up = connection.execute(
                "UPDATE jobs SET state = 'failed', error = ?, finished = ? WHERE state = 'queued' AND model = ? "
                "RETURNING id",
                (error, utc_now(), model),
            ).fetchall()
            for row in given_up:
                self._keep(connection, row["id"], NOT_SCREENED, reason=error)
        self.tell()

    def tell(self) -> None:
        """Tell the audit trail what a kill left untold, if anything.

        Raises
        ------
        OutputError
            If it can't be written; it is told next time.
        """
        tell(self.database, self.home.audit_log)

    def _keep(self, connection: sqlite3.Connection, id: str, event: str, **came: Fact) -> None:
        """Keep for the audit trail what came of a job."""
        job = connection.execute("SELECT study_uid, series_uid, revision FROM jobs WHERE id = ?", (id,)).fetchone()
        revision = {"revision": job["revision"]} if event == SCREENED else {}
        facts = {"job": id, "study": job["study_uid"], "series": job["series_uid"], **revision, **came}
        keep(connection, self.home.audit_log, event, facts)

    def retry(self, id: str | None = None) -> list[Job]:
        """Queue dead letters again: one, or all.

        Raises
        ------
        ServeError
            If the job of that id is none.
        """
        if id is not None and self.job(id).state != "failed":
            raise ServeError(
                f"{id}: did not fail; its state is '{self.job(id).state}'. Only what failed is tried again."
            )
        dead = [id] if id is not None else [job.id for job in self.jobs("failed", limit=-1)]
        with self.database.transaction() as connection:
            connection.executemany(
                "UPDATE jobs SET state = 'queued', attempts = 0, not_before = 0, error = '' WHERE id = ?",
                [(one,) for one in dead],
            )
        return [self.job(one) for one in dead]

    def decide(self, job_id: str, decision: Decision, comment: str, reviewer: str) -> Job:
        """Keep what a reader made of a job's result.

        Raises
        ------
        ServeError
            If there is no such job, it is not done, or the decision is none.
        """
        if decision not in ("", "confirmed", "dismissed"):
            raise ServeError(f"{decision!r} is no decision. Use 'confirmed', 'dismissed', or '' to take it back.")
        if self.job(job_id).state != "done":
            raise ServeError(f"{job_id}: is not screened yet. Decide when it is.")
        with self.database.transaction() as connection:
            connection.execute(
                "UPDATE jobs SET decision = ?, comment = ?, reviewer = ? WHERE id = ?",
                (decision, comment, reviewer, job_id),
            )
        return self.job(job_id)


def insert_job(connection: sqlite3.Connection, values: Mapping[str, object]) -> bool:
    """Insert a job within a transaction; False where there is one of its key."""
    columns, marks = ", ".join(values), ", ".join("?" * len(values))
    outcome = connection.execute(f"INSERT OR IGNORE INTO jobs ({columns}) VALUES ({marks})", tuple(values.values()))
    return outcome.rowcount == 1


def _fail(connection: sqlite3.Connection, id: str, error: str, *, final: bool = False) -> bool:
    """Note a failure; True where it is for good."""
    row = connection.execute("SELECT attempts, superseded FROM jobs WHERE id = ?", (id,)).fetchone()
    attempts = int(row["attempts"]) if row else 0
    if row and row["superseded"]:  # a later revision was done meanwhile
        connection.execute("UPDATE jobs SET state = 'skipped', error = ? WHERE id = ?", (error, id))
        return False
    if final or attempts >= MOST_ATTEMPTS:
        connection.execute(
            "UPDATE jobs SET state = 'failed', error = ?, finished = ? WHERE id = ?", (error, utc_now(), id)
        )
        return True
    pause = FIRST_PAUSE_SECONDS * 3.0 ** max(0, attempts - 1)
    connection.execute(
        "UPDATE jobs SET state = 'queued', error = ?, not_before = ? WHERE id = ?", (error, time.time() + pause, id)
    )
    return False


def _wanted(
    state: str | None, verdict: str | None, decision: str | None, text: str | None, superseded: bool
) -> tuple[str, tuple[object, ...]]:
    conditions: list[str] = [] if superseded else ["superseded = 0"]
    values: list[object] = []
    for column, value in (("state", state), ("verdict", verdict), ("decision", decision)):
        if value is not None:
            conditions.append(f"{column} = ?")
            values.append(value)
    if text:
        searched = ("title", "sender", "modality", "model", "study_uid", "series_uid")
        conditions.append("(" + " OR ".join(f"instr(lower({column}), lower(?))" for column in searched) + ")")
        values += [text] * len(searched)
    return (f" WHERE {' AND '.join(conditions)}" if conditions else ""), tuple(values)


def _job(row: sqlite3.Row) -> Job:
    values = dict(zip(row.keys(), tuple(row), strict=True))
    return Job(**{**values, "superseded": bool(values["superseded"])})
