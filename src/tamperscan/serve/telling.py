"""What the audit trail is to be told of jobs: once, whenever a process is killed.

The trail is a file, the jobs are in a database, and a kill may come between the two. So what is to be told is kept
in the transaction that changes the job, told after it, and then forgotten. What a kill left untold is told by the next
one who tells; a mark in each line says whether it was told before the kill.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

from tamperscan.serve.audit import AuditLog, Fact
from tamperscan.serve.database import Database

_NAME: Final = "untold "
_MARK: Final = "mark"


def keep(connection: sqlite3.Connection, trail: Path, event: str, facts: Mapping[str, Fact]) -> None:
    """Keep what is to be told, within the transaction that makes it true.

    Parameters
    ----------
    connection
        Within a transaction.
    trail
        The audit log.
    event, facts
        As for `AuditLog.append`; numbers must be finite.
    """
    since = trail.stat().st_size if trail.exists() else 0
    mark = uuid4().hex
    kept = {"since": since, "event": event, "facts": {**facts, _MARK: mark}}
    connection.execute("INSERT INTO facts VALUES (?, ?)", (f"{_NAME}{since:020} {mark}", json.dumps(kept)))


def tell(database: Database, trail: Path) -> None:
    """Tell what is kept and was not told yet.

    Parameters
    ----------
    database
        Whose jobs; no other process tells meanwhile.
    trail
        The audit log.

    Raises
    ------
    OutputError
        If the log can't be written; it is told next time.
    """
    with database.transaction() as connection:
        rows = connection.execute("SELECT name, value FROM facts WHERE name GLOB ? ORDER BY name", (f"{_NAME}*",))
        kept = {str(row["name"]): json.loads(row["value"]) for row in rows.fetchall()}
        if not kept:
            return
        written = _written(trail, min(one["since"] for one in kept.values()))
        untold = [one for one in kept.values() if one["facts"][_MARK].encode() not in written]
        AuditLog(trail).append_all((one["event"], one["facts"]) for one in untold)
        connection.executemany("DELETE FROM facts WHERE name = ?", [(name,) for name in kept])


def _written(trail: Path, since: int) -> bytes:
    """Read what was added to a log since it had a size; all of it, where it is smaller now."""
    if not trail.exists():
        return b""
    with trail.open("rb") as file:
        file.seek(since if since <= trail.stat().st_size else 0)
        return file.read()
