"""Storage commitment: telling a sender what is safely kept (PS3.4 annex J)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from tamperscan.serve.database import Database
from tamperscan.serve.settings import NodeSettings, Peer

REQUEST: Final = 1
"""Action type of a request (PS3.4 table J.3-1)."""

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_ACTION: Final = 0x0123
"""Status of the answer to it (PS3.7 annex C)."""

NOT_KEPT: Final = 0x0112
"""Failure reason: no such object instance (PS3.3 C.14.1.1)."""

CLASS_CONFLICT: Final = 0x0119
"""Failure reason: class-instance conflict."""

UNDECIDED: Final = 0x0110
"""Failure reason: processing failure; the peer may ask again."""

PATIENCE_SECONDS: Final = 10.0
FIRST_PAUSE_SECONDS: Final = 2.0
MOST_ATTEMPTS: Final = 30

_log = logging.getLogger("tamperscan.serve.commitment")


class Commitments:
    """Takes requests, and makes the reports that answer them.

    Parameters
    ----------
    database
        Where requests are kept, so that a report is owed even after a crash.
    settings
        Says where each peer wants its reports.
    """

    def __init__(self, database: Database, settings: NodeSettings) -> None:
        self._database, self._settings = database, settings

    def take(self, information: Callable[[], Dataset], sender: str) -> tuple[int, str]:
        """Keep a request. Gives the DIMSE status and the transaction's UID.

        Parameters
        ----------
        information
            Decodes its data set.
        sender
            AE title of who asks.
        """
        try:
            request = information()
            transaction = str(request.TransactionUID)
            objects = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in request.ReferencedSOPSequence
            ]
        except Exception:  # whatever the bytes provoke
            return PROCESSING_FAILURE, ""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO commitments (transaction_uid, sender, objects, not_before) VALUES (?, ?, ?, ?)",
                (transaction, sender, json.dumps(objects), time.time() + FIRST_PAUSE_SECONDS),
            )
        return SUCCESS, transaction

    def calls_back(self, sender: str) -> bool:
        """Whether a peer is called back, and not told over the same association."""
        return report_address(self._settings, sender) is not None

    def report_for(self, transaction: str, sender: str) -> Dataset | None:
        """Make the report for the same association; None where there is no such request.

        It waits a little for what has just arrived: only when its rule is known is it known whether it stays.
        """
        row = self._database.row(
            "SELECT objects FROM commitments WHERE transaction_uid = ? AND sender = ?", (transaction, sender)
        )
        if row is None:
            return None
        objects = json.loads(row["objects"])
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and any(is_undecided(self._database, uid) for _, uid in objects):
            time.sleep(0.1)
        return make_report(self._database, transaction, objects)

    def reported(self, transaction: str, sender: str) -> None:
        """Note that the peer has the report."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE commitments SET state = 'done' WHERE transaction_uid = ? AND sender = ?", (transaction, sender)
            )


def report_address(settings: NodeSettings, sender: str) -> tuple[str, int] | None:
    """Give host and port where a peer wants its reports; None for the same association."""
    peer = report_peer(settings, sender)
    if peer is None or peer.report_to is None:
        return None
    host, _, port = peer.report_to.rpartition(":")
    return host, int(port)


def report_peer(settings: NodeSettings, sender: str) -> Peer | None:
    """Give the entry of a peer that wants its reports by a call; None for the same association."""
    return next((peer for peer in settings.peers if peer.report_to is not None and peer.allows_title(sender)), None)


def make_report(database: Database, transaction: str, objects: Sequence[Sequence[str]]) -> Dataset:
    """Make the data set of a report: which objects are safely kept, and which are not (PS3.4 table J.3-2).

    Safely kept is what is in the ledger with its file, unless its rule has the node delete it after its results are
    delivered: what is to be deleted is never committed to.
    """
    kept, failed = DicomSequence(), DicomSequence()
    for sop_class, uid in objects:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        reason = _why_not(database, sop_class, uid)
        if reason:
            item.FailureReason = reason
        (failed if reason else kept).append(item)
    report = Dataset()
    report.TransactionUID = transaction
    if kept:
        report.ReferencedSOPSequence = kept
    if failed:
        report.FailedSOPSequence = failed
    return report


def event_type(report: Dataset) -> int:
    """Give the event type of a report: 1 where all is kept, 2 where something is not."""
    return 2 if "FailedSOPSequence" in report else 1


def is_undecided(database: Database, uid: str) -> bool:
    """Whether an instance has arrived and no rule was looked up for it yet."""
    return database.row("SELECT 1 FROM instances WHERE sop_uid = ? AND state = 'received'", (uid,)) is not None


def _why_not(database: Database, sop_class: str, uid: str) -> int:
    if is_undecided(database, uid):
        return UNDECIDED
    rows = database.rows(
        "SELECT sop_class, file FROM instances WHERE sop_uid = ? AND kept = 1 AND passing = 0 AND version = 0", (uid,)
    )
    found = [row for row in rows if (database.home.spool / str(row["file"])).is_file()]
    if not found:
        return NOT_KEPT
    return 0 if any(row["sop_class"] == sop_class for row in found) else CLASS_CONFLICT
