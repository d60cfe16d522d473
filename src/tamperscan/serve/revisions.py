"""A series that grows is screened again, and what the new revision says takes the place of what was said before."""

from __future__ import annotations

import sqlite3
from typing import Final

_LONGEST_COMMENT: Final = 300


def take_place(connection: sqlite3.Connection, job: str) -> None:
    """Let a revision that is done take the place of those before it: nothing more is done for them.

    What was sent of them stays sent. A revision that abstains does not take the place of one that is suspicious: with
    an odd image anyone could take back an alarm so.

    Parameters
    ----------
    connection
        Within a transaction.
    job
        Id of the revision, which is done.
    """
    earlier = _earlier(connection, job)
    found = connection.execute("SELECT verdict, note FROM jobs WHERE id = ?", (job,)).fetchone()
    remarks = [remark for row in earlier if (remark := _remark(row))]
    if remarks:
        note = " ".join([found["note"], *remarks]).strip()
        connection.execute("UPDATE jobs SET note = ? WHERE id = ?", (note, job))
    for row in earlier:
        if found["verdict"] != "abstained" or row["verdict"] != "suspicious":
            _supersede(connection, row["id"])


def _earlier(connection: sqlite3.Connection, job: str) -> list[sqlite3.Row]:
    return connection.execute(
        "SELECT old.* FROM jobs old JOIN jobs new ON new.id = ? AND old.study_uid = new.study_uid "
        "AND old.series_uid = new.series_uid AND old.version = new.version AND old.revision < new.revision "
        "WHERE old.origin = 'node' AND new.origin = 'node' ORDER BY old.revision",
        (job,),
    ).fetchall()


def _remark(row: sqlite3.Row) -> str:
    """Say what is to be known of an earlier revision: that it was suspicious, and what a reader made of it."""
    said = ["suspicious"] if row["verdict"] == "suspicious" else []
    if row["decision"]:
        comment = f' ("{row["comment"][:_LONGEST_COMMENT]}")' if row["comment"] else ""
        said.append(f"{row['decision']} by {row['reviewer']}{comment}")
    return f"Revision {row['revision']} was {' and '.join(said)}." if said else ""


def _supersede(connection: sqlite3.Connection, job: str) -> None:
    connection.execute("UPDATE jobs SET superseded = 1 WHERE id = ?", (job,))
    connection.execute("UPDATE jobs SET state = 'skipped' WHERE id = ? AND state IN ('queued', 'failed')", (job,))
    connection.execute(
        "UPDATE deliveries SET state = 'cancelled' WHERE job = ? AND state IN ('waiting', 'dead')", (job,)
    )
