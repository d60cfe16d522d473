"""What a crash leaves in the spool and the ledger, and taking it away."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from typing import Final

from tamperscan.serve.database import Database
from tamperscan.serve.home import Home
from tamperscan.serve.spool import PART, file_meta

_DOUBTFUL: Final = 500
"""So many of the latest files are read at a start, to see that they are whole."""


def clear_leftovers(home: Home, database: Database) -> int:
    """Take away what a crash left of instances that were never acknowledged. No receiver may run.

    These are parts of files, files that no row knows, and rows whose file is not there as a whole. The rows stay, and
    count for nothing any more.

    Returns
    -------
    int
        How many there were.
    """
    found = {entry.name for entry in os.scandir(home.spool)}
    rows = database.rows("SELECT * FROM instances WHERE kept = 1 ORDER BY id DESC")
    torn = [
        row
        for number, row in enumerate(rows)
        if row["file"] not in found or (number < _DOUBTFUL and _is_torn(home, row))
    ]
    with database.transaction() as connection:
        connection.executemany(
            "UPDATE instances SET state = 'unreadable', kept = 0, reason = 'not whole after a crash' WHERE id = ?",
            [(row["id"],) for row in torn],
        )
    leftovers = found - {str(row["file"]) for row in rows} | {str(row["file"]) for row in torn}
    for name in leftovers:
        (home.spool / name).unlink(missing_ok=True)
    return len(leftovers)


def _is_torn(home: Home, row: sqlite3.Row) -> bool:
    """Whether a file is not what was received."""
    path = home.spool / row["file"]
    if path.stat().st_size != row["size"]:
        return True
    with path.open("rb") as file:
        file.seek(len(file_meta(row["sop_class"], row["sop_uid"], row["transfer_syntax"])))
        return hashlib.file_digest(file, "sha256").hexdigest() != str(row["sha256"])


def clear_parts(home: Home, process: int) -> None:
    """Take away the parts of instances that a dead receiver left."""
    for path in home.spool.glob(f".{process}-*{PART}"):
        path.unlink(missing_ok=True)
