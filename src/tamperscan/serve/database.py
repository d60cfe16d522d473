"""The one SQLite file of a home: its tables, and how processes take turns at writing to it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tamperscan.errors import ServeError
from tamperscan.serve.home import Home

_VERSION: Final = 2

_TABLES: Final = """
CREATE TABLE IF NOT EXISTS instances (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL UNIQUE,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    sop_class TEXT NOT NULL,
    sop_uid TEXT NOT NULL,
    transfer_syntax TEXT NOT NULL,
    sender TEXT NOT NULL,
    called TEXT NOT NULL,
    address TEXT NOT NULL,
    arrived REAL NOT NULL,
    state TEXT NOT NULL DEFAULT 'received',
    reason TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 0,
    study_uid TEXT NOT NULL DEFAULT '',
    series_uid TEXT NOT NULL DEFAULT '',
    modality TEXT NOT NULL DEFAULT '',
    body_part TEXT NOT NULL DEFAULT '',
    series_description TEXT NOT NULL DEFAULT '',
    slice_thickness REAL,
    pixel_digest TEXT NOT NULL DEFAULT '',
    pixel_meaning TEXT NOT NULL DEFAULT '',
    decoded_digest TEXT NOT NULL DEFAULT '',
    forged INTEGER NOT NULL DEFAULT 0,
    passing INTEGER NOT NULL DEFAULT 0,
    kept INTEGER NOT NULL DEFAULT 1
);
CREATE INDEX IF NOT EXISTS instances_by_state ON instances (state, arrived);
CREATE INDEX IF NOT EXISTS instances_by_uid ON instances (sop_uid);
CREATE INDEX IF NOT EXISTS instances_by_series ON instances (study_uid, series_uid, state);
CREATE INDEX IF NOT EXISTS instances_kept ON instances (kept, size);
CREATE INDEX IF NOT EXISTS instances_passing ON instances (id) WHERE passing = 1 AND kept = 1;
CREATE INDEX IF NOT EXISTS instances_undigested ON instances (id) WHERE decoded_digest = '' AND pixel_digest != '';
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    origin TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    model TEXT NOT NULL,
    head TEXT,
    title TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT '',
    modality TEXT NOT NULL DEFAULT '',
    study_uid TEXT NOT NULL DEFAULT '',
    series_uid TEXT NOT NULL DEFAULT '',
    version INTEGER NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 1,
    superseded INTEGER NOT NULL DEFAULT 0,
    sender TEXT NOT NULL DEFAULT '',
    rule TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL,
    progress REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    worker TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    verdict TEXT NOT NULL DEFAULT '',
    score REAL,
    p_value REAL,
    alarm_rate REAL,
    received TEXT NOT NULL,
    finished TEXT NOT NULL DEFAULT '',
    decision TEXT NOT NULL DEFAULT '',
    comment TEXT NOT NULL DEFAULT '',
    reviewer TEXT NOT NULL DEFAULT '',
    planned INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_by_state ON jobs (state, not_before);
CREATE INDEX IF NOT EXISTS jobs_unplanned ON jobs (id) WHERE state = 'done' AND planned = 0;
CREATE INDEX IF NOT EXISTS jobs_by_series ON jobs (study_uid, series_uid);
CREATE TABLE IF NOT EXISTS job_instances (
    job TEXT NOT NULL REFERENCES jobs (id),
    instance INTEGER NOT NULL REFERENCES instances (id),
    PRIMARY KEY (job, instance)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_of_instance ON job_instances (instance);
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY,
    job TEXT NOT NULL REFERENCES jobs (id),
    destination TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    refusals INTEGER NOT NULL DEFAULT 0,
    accepted TEXT NOT NULL DEFAULT '',
    planned REAL NOT NULL,
    not_before REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    finished TEXT NOT NULL DEFAULT '',
    UNIQUE (job, destination)
);
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (state, destination);
CREATE TABLE IF NOT EXISTS own_objects (
    sop_uid TEXT PRIMARY KEY,
    job TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commitments (
    id INTEGER PRIMARY KEY,
    transaction_uid TEXT NOT NULL,
    sender TEXT NOT NULL,
    objects TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    UNIQUE (transaction_uid, sender)
);
CREATE TABLE IF NOT EXISTS facts (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
"""


class Database:
    """A connection to the database of a home, for any number of threads.

    Writers take turns by a lock of the operating system, which is handed on at once; SQLite's own would let them sleep
    and try again. What a transaction wrote is on the disk when it ends (``synchronous=FULL``).

    Parameters
    ----------
    home
        Whose.

    Raises
    ------
    ServeError
        If the file is no such database, or one of a later version.
    """

    def __init__(self, home: Home, *, durable: bool = True) -> None:
        self.home = home
        self._lock = threading.RLock()
        self._turns = os.open(home.root / "tamperscan.db.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._connection = _connect(home.database, durable=durable)
        with self.transaction() as connection:
            _make_tables(connection, home.database)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Write: all of what happens inside, or nothing of it."""
        with self._lock:
            fcntl.flock(self._turns, fcntl.LOCK_EX)
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                except BaseException:
                    self._connection.rollback()
                    raise
                self._connection.commit()
            finally:
                fcntl.flock(self._turns, fcntl.LOCK_UN)

    def rows(self, question: str, values: tuple[object, ...] = ()) -> list[sqlite3.Row]:
        """Read; what others wrote meanwhile is seen with the next call."""
        with self._lock:
            return self._connection.execute(question, values).fetchall()

    def row(self, question: str, values: tuple[object, ...] = ()) -> sqlite3.Row | None:
        """Read one row, None where there is none."""
        rows = self.rows(question, values)
        return rows[0] if rows else None

    def remember(self, name: str, value: str) -> None:
        """Keep a fact, such as that the node is to drain."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def recall(self, name: str) -> str:
        """Give a fact, empty where it was never kept."""
        row = self.row("SELECT value FROM facts WHERE name = ?", (name,))
        return str(row["value"]) if row else ""

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
            os.close(self._turns)


def _connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ServeError(f"{path}: is no database of tamperscan ({error}). Name another folder.") from error
    return connection


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > _VERSION:
        raise ServeError(f"{path}: was written by a later version of tamperscan. Use that version.")
    if version == 0:
        for statement in _TABLES.split(";\n"):
            connection.execute(statement)
    if version == 1:
        connection.execute("ALTER TABLE instances ADD COLUMN pixel_meaning TEXT NOT NULL DEFAULT ''")
        connection.execute("ALTER TABLE deliveries ADD COLUMN refusals INTEGER NOT NULL DEFAULT 0")
        connection.execute("ALTER TABLE deliveries ADD COLUMN accepted TEXT NOT NULL DEFAULT ''")
    if version < _VERSION:
        connection.execute(f"PRAGMA user_version={_VERSION}")
