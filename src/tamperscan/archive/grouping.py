"""Sorts the files of a folder into series, on the disk where they are many."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator

from tamperscan.archive.found import Entry, FoundSeries, Part, listing_text, series_key
from tamperscan.archive.headers import Unreadable
from tamperscan.archive.index import Member
from tamperscan.archive.places import Place

_SCHEMA = """
PRAGMA synchronous = OFF;
PRAGMA cache_size = -8000;
CREATE TABLE files (key TEXT, kind TEXT, place BLOB, name BLOB, series BLOB, size INTEGER, bytes INTEGER, listing TEXT,
    PRIMARY KEY (key, kind, place, name)) WITHOUT ROWID;
CREATE TABLE unreadable (path BLOB PRIMARY KEY, problem TEXT) WITHOUT ROWID;
"""


class Grouping:
    """Files by series.

    SQLite keeps a database without a name in memory while it is small, and beyond 8 MB in a file that nobody else sees
    and that is gone with the process. So a folder of a million files takes no more memory than one of a thousand.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(_SCHEMA)

    def add(self, entries: Iterable[Entry], unreadable: Iterable[Unreadable]) -> None:
        """Take in files, and what could not be read."""
        self._database.execute("BEGIN")
        stored = (
            (
                series_key(entry.series),
                entry.place.kind,
                os.fsencode(entry.place.where),
                os.fsencode(entry.name),
                os.fsencode(entry.series),
                entry.size,
                entry.voxel_bytes,
                listing_text(entry.listing),
            )
            for entry in entries
        )
        self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", stored)
        problems = ((os.fsencode(one.path), one.problem) for one in unreadable)
        self._database.executemany("INSERT OR REPLACE INTO unreadable VALUES (?, ?)", problems)
        self._database.execute("COMMIT")

    def add_from(self, other: Grouping, key: str) -> None:
        """Take in the files of one series from another grouping."""
        rows = other._database.execute("SELECT * FROM files WHERE key = ?", (key,))
        self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def members(self) -> Iterator[Member]:
        """Give each series' part at each place."""
        rows = self._database.execute("SELECT key, kind, place, listing FROM files ORDER BY key, kind, place")
        for (key, _, place), files in itertools.groupby(rows, key=lambda row: row[:3]):
            yield Member(os.fsdecode(place), key, listing_text(sum(int(row[3], 16) for row in files)))

    def unreadable(self) -> Iterator[Unreadable]:
        """Give what could not be read."""
        for path, problem in self._database.execute("SELECT path, problem FROM unreadable ORDER BY path"):
            yield Unreadable(os.fsdecode(path), problem)

    def series(self) -> Iterator[FoundSeries]:
        """Give the series, one after the other, each with its files in the order of their names."""
        rows = self._database.execute("SELECT * FROM files ORDER BY key, kind, place, name")
        for key, files in itertools.groupby(rows, key=lambda row: row[0]):
            yield _series(key, files)

    def close(self) -> None:
        """Let go of it."""
        self._database.close()


def _series(key: str, files: Iterator[tuple[str, str, bytes, bytes, bytes, int, int, str]]) -> FoundSeries:
    names: dict[Place, list[str]] = {}
    group, listing, size, voxel_bytes = b"", 0, 0, 0
    for _, kind, place, name, series, stored, decoded, number in files:
        group = series
        names.setdefault(Place(kind, os.fsdecode(place)), []).append(os.fsdecode(name))  # type: ignore[arg-type]
        listing, size, voxel_bytes = listing + int(number, 16), size + stored, voxel_bytes + decoded
    parts = tuple(Part(place, tuple(found)) for place, found in names.items())
    return FoundSeries(key, os.fsdecode(group), parts, listing_text(listing), size, voxel_bytes)
