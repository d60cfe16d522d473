"""Calling back peers that asked for storage commitment (PS3.4 section J.3.3)."""

from __future__ import annotations

import json
import logging
import ssl
import threading
import time
from typing import Final

from tamperscan.serve.commitment import (
    FIRST_PAUSE_SECONDS,
    MOST_ATTEMPTS,
    SUCCESS,
    event_type,
    is_undecided,
    make_report,
    report_address,
    report_peer,
)
from tamperscan.serve.database import Database
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.tls_client import client_context

POLL_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 20.0
LONGEST_PAUSE_SECONDS: Final = 3600.0

_log = logging.getLogger("tamperscan.serve.reports")


class Reports:
    """Sends the reports that are owed to peers with an address of their own.

    Parameters
    ----------
    database, settings
        Of the node.
    """

    def __init__(self, database: Database, settings: NodeSettings) -> None:
        self._database, self._settings = database, settings
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way."""
        self._ending.set()
        self._thread.join(TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(POLL_SECONDS):
            try:
                self.report_due(time.time())
            except Exception:
                _log.exception("reporting failed; it goes on")

    def report_due(self, now: float) -> int:
        """Send what is due; gives how many reports arrived."""
        question = "SELECT * FROM commitments WHERE state = 'waiting' AND not_before <= ? LIMIT 20"
        count = 0
        for row in self._database.rows(question, (now,)):
            objects = json.loads(row["objects"])
            address = report_address(self._settings, row["sender"])
            undecided = any(is_undecided(self._database, uid) for _, uid in objects) and row["attempts"] < 3
            sent = (
                address is not None
                and not undecided
                and self._try_to_report(row["transaction_uid"], row["sender"], objects)
            )
            count += sent
            self._note(row["id"], int(row["attempts"]) + 1, now, sent=sent, hopeless=address is None)
        return count

    def _try_to_report(self, transaction: str, sender: str, objects: list[tuple[str, str]]) -> bool:
        """Report; what goes wrong with one report holds up no other."""
        try:
            return self._report(transaction, sender, objects)
        except Exception:
            _log.exception("a report failed", extra={"facts": {"sender": sender}})
            return False

    def _report(self, transaction: str, sender: str, objects: list[tuple[str, str]]) -> bool:
        from pynetdicom import AE, build_role
        from pynetdicom.sop_class import (  # type: ignore[attr-defined]
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )

        address = report_address(self._settings, sender)
        assert address is not None
        report = make_report(self._database, transaction, objects)
        entity = AE(ae_title=self._settings.ae_title)
        entity.connection_timeout = entity.acse_timeout = entity.dimse_timeout = TIMEOUT_SECONDS
        entity.add_requested_context(StorageCommitmentPushModel)
        # We are the service's provider, though it is we who call (PS3.7 D.3.3.4).
        role = build_role(StorageCommitmentPushModel, scp_role=True)
        tls = self._context(sender)
        association = entity.associate(
            *address, ae_title=sender, ext_neg=[role], tls_args=(tls, address[0]) if tls else None
        )
        if not association.is_established:
            return False
        try:
            status, _ = association.send_n_event_report(
                report, event_type(report), StorageCommitmentPushModel, StorageCommitmentPushModelInstance
            )
            return "Status" in status and int(status.Status) == SUCCESS
        except (ValueError, RuntimeError):  # no context accepted, or gone meanwhile
            return False
        finally:
            if association.is_established:
                association.release()

    def _context(self, sender: str) -> ssl.SSLContext | None:
        """Give the settings of an encrypted call to a peer; None where it is called in the clear."""
        peer, own = report_peer(self._settings, sender), self._settings.tls
        if peer is None or not peer.report_tls:
            return None
        return client_context(peer.report_trust, own.certificate if own else None, own.key if own else None)

    def _note(self, id: int, attempts: int, now: float, *, sent: bool, hopeless: bool) -> None:
        given_up = attempts >= MOST_ATTEMPTS or hopeless
        state = "done" if sent else "dead" if given_up else "waiting"
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 20))
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE commitments SET state = ?, attempts = ?, not_before = ? WHERE id = ?",
                (state, attempts, now + pause, id),
            )
        _log.info("storage commitment", extra={"facts": {"report": id, "state": state, "attempts": attempts}})
