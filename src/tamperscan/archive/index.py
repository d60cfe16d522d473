"""What a run remembers from one time to the next: a database in the folder of results.

A series has a row here from the moment that it is screened, and only one, as its key is the table's. Rows are kept
here until they are written to Parquet; the database is synchronised with the disk at every step, so that a run that is
killed loses what it was at work on and nothing else.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from tamperscan.archive.found import sum_listings
from tamperscan.archive.headers import Unreadable
from tamperscan.archive.places import Kind, Place
from tamperscan.archive.walking import Folder
from tamperscan.errors import ArchiveError, OutputError

FILE: Final = "index.sqlite"

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS rows (
    key TEXT PRIMARY KEY, listing TEXT NOT NULL, verdict TEXT NOT NULL, result TEXT, run TEXT,
    part INTEGER, was_in INTEGER) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unwritten ON rows (key) WHERE part IS NULL;
CREATE INDEX IF NOT EXISTS failed ON rows (key) WHERE verdict = 'failed';
CREATE TABLE IF NOT EXISTS folders (place BLOB PRIMARY KEY, signature TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS members (place BLOB, inside BLOB, key TEXT, listing TEXT NOT NULL,
    PRIMARY KEY (key, place, inside)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS members_of_place ON members (place);
CREATE TABLE IF NOT EXISTS deferred (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unreadable (path TEXT PRIMARY KEY, place BLOB NOT NULL, problem TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unreadable_of_place ON unreadable (place);
"""

_UNLISTED: Final = b""


@dataclass(frozen=True)
class Member:
    """A series' part in a folder: ``inside`` is the place itself, the folder or a zip in it."""

    inside: str
    key: str
    listing: str


class Index:
    """The database of one folder of results; threads may share it.

    Parameters
    ----------
    folder
        The folder of results.

    Raises
    ------
    OutputError
        If it can't be written.
    ArchiveError
        If it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.RLock()
        with self._plain_errors():
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    def is_done(self, key: str, listing: str, *, retry_failed: bool = False) -> bool:
        """Whether a series has a row, of these very files."""
        found = self._one("SELECT listing, verdict FROM rows WHERE key = ?", key)
        if found is None or (retry_failed and found["verdict"] == "failed"):
            return False
        return bool(found["listing"] == listing)

    def is_folder_done(self, folder: Folder, *, retry_failed: bool = False) -> bool:
        """Whether nothing changed in a folder since all of its series got their rows."""
        place = _stored(folder.place)
        if self._one("SELECT 1 FROM folders WHERE place = ? AND signature = ?", place, folder.signature) is None:
            return False
        if retry_failed and self._one("SELECT 1 FROM unreadable WHERE place = ? LIMIT 1", place) is not None:
            return False
        keys = [row["key"] for row in self._all("SELECT DISTINCT key FROM members WHERE place = ?", place)]
        return all(self.is_done(key, self.listing_of(key), retry_failed=retry_failed) for key in keys)

    def listing_of(self, key: str) -> str:
        """Add up a series' files at all places where it was found."""
        return sum_listings([row["listing"] for row in self._all("SELECT listing FROM members WHERE key = ?", key)])

    def places_of(self, key: str) -> list[Place]:
        """List the folders in which a series has files."""
        rows = self._all("SELECT DISTINCT place FROM members WHERE key = ? ORDER BY place", key)
        return [_place(row["place"]) for row in rows]

    def note_folder(self, folder: Folder, members: Iterable[Member], unreadable: Iterable[Unreadable]) -> None:
        """Remember what was found in a folder, in the place of what was found there before."""
        place = _stored(folder.place)
        with self._transaction() as connection:
            for table in ("members", "unreadable"):
                connection.execute(f"DELETE FROM {table} WHERE place = ?", (place,))
            connection.execute("INSERT OR REPLACE INTO folders VALUES (?, ?)", (place, folder.signature))
            connection.executemany(
                "INSERT OR REPLACE INTO members VALUES (?, ?, ?, ?)",
                ((place, os.fsencode(one.inside), one.key, one.listing) for one in members),
            )
            connection.executemany(
                "INSERT OR REPLACE INTO unreadable VALUES (?, ?, ?)",
                ((_text(one.path), place, one.problem) for one in unreadable),
            )

    def note_unlisted(self, one: Unreadable) -> None:
        """Remember a folder or a link that could not be followed."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO unreadable VALUES (?, ?, ?)", (_text(one.path), _UNLISTED, one.problem)
            )

    def forget_unlisted(self) -> None:
        """Forget those, before everything is walked through again."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM unreadable WHERE place = ?", (_UNLISTED,))

    def defer(self, key: str) -> None:
        """Remember that a series has files at several places, and is to be screened once all are known."""
        with self._transaction() as connection:
            connection.execute("INSERT OR IGNORE INTO deferred VALUES (?)", (key,))

    def deferred(self, after: str) -> list[str]:
        """List up to a thousand series that are to be screened from several places, those after a key."""
        rows = self._all("SELECT key FROM deferred WHERE key > ? ORDER BY key LIMIT 1000", after)
        return [row["key"] for row in rows]

    def undefer(self, key: str) -> None:
        """Strike a series off that list."""
        with self._transaction() as connection:
            connection.execute("DELETE FROM deferred WHERE key = ?", (key,))

    def put(self, key: str, listing: str, result: Mapping[str, Any], run: Mapping[str, Any]) -> None:
        """Give a series its row, in the place of the one that it had.

        More of its files may be found while those of one folder are screened. What came of too few of them takes the
        place of no row that came of all, and leaves the series among those that wait for all of their files.
        """
        with self._transaction() as connection:
            known = self.listing_of(key)
            if listing != known and self.is_done(key, known):
                return
            connection.execute(
                "INSERT INTO rows VALUES (?, ?, ?, ?, ?, NULL, NULL) ON CONFLICT (key) DO UPDATE SET "
                "listing = excluded.listing, verdict = excluded.verdict, result = excluded.result, run = excluded.run, "
                "was_in = COALESCE(part, was_in), part = NULL",
                (key, listing, result["verdict"], json.dumps(result), json.dumps(run)),
            )
            if listing == known:
                connection.execute("DELETE FROM deferred WHERE key = ?", (key,))

    def unwritten(self) -> list[sqlite3.Row]:
        """Rows that are not in Parquet yet, with the part that an earlier row of the series is in, if any."""
        return self._all("SELECT key, result, run, was_in FROM rows WHERE part IS NULL ORDER BY key")

    def unwritten_count(self) -> int:
        """How many rows are not in Parquet yet."""
        row = self._one("SELECT COUNT(*) AS count FROM rows WHERE part IS NULL")
        return 0 if row is None else int(row["count"])

    def next_part(self) -> int:
        """Give the number of the next part."""
        row = self._one("SELECT MAX(COALESCE(part, was_in)) AS last FROM rows")
        return 1 if row is None or row["last"] is None else int(row["last"]) + 1

    def mark_written(self, keys: Iterable[str], part: int) -> None:
        """Say that rows are in Parquet now; their content is kept there alone."""
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE rows SET part = ?, was_in = NULL, result = NULL, run = NULL WHERE key = ?",
                ((part, key) for key in keys),
            )

    def restore(self, rows: Iterable[tuple[str, str, str, int]]) -> None:
        """Fill an index that was lost from (key, listing, verdict, part) of rows that are in Parquet."""
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, NULL, NULL, ?, NULL)", rows)

    def verdicts(self) -> dict[str, int]:
        """How many series have which verdict."""
        rows = self._all("SELECT verdict, COUNT(*) AS count FROM rows GROUP BY verdict ORDER BY verdict")
        return {row["verdict"]: int(row["count"]) for row in rows}

    def unreadable(self) -> Iterator[tuple[str, str]]:
        """Files that belong to no series, and why, by path."""
        with self._plain_errors():
            for row in self._connection.execute("SELECT path, problem FROM unreadable ORDER BY path"):
                yield row["path"], row["problem"]

    def unreadable_reasons(self) -> dict[str, int]:
        """How many files could not be read, by reason, the most frequent first."""
        rows = self._all(
            "SELECT problem, COUNT(*) AS count FROM unreadable GROUP BY problem ORDER BY count DESC, problem"
        )
        return {row["problem"]: int(row["count"]) for row in rows}

    def _one(self, question: str, *values: object) -> sqlite3.Row | None:
        with self._lock, self._plain_errors():
            row: sqlite3.Row | None = self._connection.execute(question, values).fetchone()
            return row

    def _all(self, question: str, *values: object) -> list[sqlite3.Row]:
        with self._lock, self._plain_errors():
            return self._connection.execute(question, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._plain_errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk ends the transaction by itself
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "full" in str(error) or "disk I/O" in str(error):
                raise OutputError(f"{self._path}: no space left to write. Make room, and run this again.") from error
            raise OutputError(
                f"{self._path}: can't be written ({error}). Check the disk and its permissions."
            ) from error
        except sqlite3.DatabaseError as error:
            advice = "Move it away: it is made again from the results"
            raise ArchiveError(f"{self._path}: is damaged ({error}). {advice}.") from error


def _stored(place: Place) -> bytes:
    """Make bytes of a place: names of files need not be UTF-8."""
    return os.fsencode(f"{place.kind} {place.where}")


def _place(stored: bytes) -> Place:
    kind, _, where = os.fsdecode(stored).partition(" ")
    return Place(cast("Kind", kind), where)


def _text(path: str) -> str:
    """Make a path storable whose bytes are not UTF-8."""
    return path.encode(errors="surrogateescape").decode(errors="backslashreplace")
