"""Storage commitment: telling a sender what is safely kept (PS3.4 annex J)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from io import BytesIO
from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ImplicitVRLittleEndian

from tamperscan.serve import dimse
from tamperscan.serve.database import Database
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.upper_layer import Context

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

    def take(self, content: bytes, context: Context, sender: str) -> tuple[int, str]:
        """Keep a request. Gives the DIMSE status and the transaction's UID."""
        try:
            request = _decode(content, context.transfer_syntax)
            transaction = str(request.TransactionUID)
            objects = [
                (str(item.ReferencedSOPClassUID), str(item.ReferencedSOPInstanceUID))
                for item in request.ReferencedSOPSequence
            ]
        except Exception:  # whatever the bytes provoke
            return dimse.PROCESSING_FAILURE, ""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO commitments (transaction_uid, sender, objects, not_before) VALUES (?, ?, ?, ?)",
                (transaction, sender, json.dumps(objects), time.time() + FIRST_PAUSE_SECONDS),
            )
        return dimse.SUCCESS, transaction

    def report_for(self, transaction: str, context: Context, sender: str) -> tuple[int, bytes] | None:
        """Give event type and data set for the same association; None where the peer is called back instead.

        It waits a little for what has just arrived: only when its rule is known is it known whether it stays.
        """
        if report_address(self._settings, sender) is not None:
            return None
        row = self._database.row(
            "SELECT objects FROM commitments WHERE transaction_uid = ? AND sender = ?", (transaction, sender)
        )
        if row is None:
            return None
        objects = json.loads(row["objects"])
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until and any(is_undecided(self._database, uid) for _, uid in objects):
            time.sleep(0.1)
        report = make_report(self._database, transaction, objects)
        return event_type(report), encode(report, context.transfer_syntax)

    def reported(self, transaction: str, sender: str) -> None:
        """Note that the peer has the report."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE commitments SET state = 'done' WHERE transaction_uid = ? AND sender = ?", (transaction, sender)
            )


def report_address(settings: NodeSettings, sender: str) -> tuple[str, int] | None:
    """Give host and port where a peer wants its reports; None for the same association."""
    for peer in settings.peers:
        if peer.report_to is not None and peer.allows_title(sender):
            host, _, port = peer.report_to.rpartition(":")
            return host, int(port)
    return None


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


def _decode(content: bytes, transfer_syntax: str) -> Dataset:
    from pynetdicom.dsutils import decode

    return decode(BytesIO(content), transfer_syntax == ImplicitVRLittleEndian, True)


def encode(report: Dataset, transfer_syntax: str) -> bytes:
    """Encode a report in the transfer syntax of an association."""
    from pynetdicom.dsutils import encode as encode_dataset

    return encode_dataset(report, transfer_syntax == ImplicitVRLittleEndian, True) or b""
