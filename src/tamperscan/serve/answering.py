"""Storage commitment with pynetdicom: requests, and the reports that go over the same association."""

from __future__ import annotations

import itertools
import threading
from io import BytesIO
from typing import Any

from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RSP
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.dsutils import encode
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import PresentationContextTuple
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from tamperscan.serve.commitment import NO_SUCH_ACTION, REQUEST, SUCCESS, Commitments, event_type


class Answering:
    """Handlers of pynetdicom's events that have to do with storage commitment.

    `Association.send_n_event_report` takes the next message for its answer. A peer may as well send the next request
    first, so reports are sent here without waiting, and their answers taken when they come.

    Parameters
    ----------
    commitments
        Keeps requests and makes reports.
    """

    def __init__(self, commitments: Commitments) -> None:
        self._commitments = commitments
        self._owed: dict[Association, list[tuple[PresentationContextTuple, str]]] = {}
        self._sent: dict[tuple[Association, int], str] = {}
        self._numbers = itertools.count()

    def on_action(self, event: Any) -> tuple[int, None]:
        """Take a request (PS3.4 section J.3.2)."""
        if event.action_type != REQUEST:
            return NO_SUCH_ACTION, None
        sender = _sender(event.assoc)
        status, transaction = self._commitments.take(lambda: event.action_information, sender)
        if status == SUCCESS and not self._commitments.calls_back(sender):
            self._owed.setdefault(event.assoc, []).append((event.context, transaction))
        return status, None

    def on_sent(self, event: Any) -> None:
        """Report after the answer to the request, which must be the first to arrive."""
        if event.assoc in self._owed and isinstance(event.pdu, P_DATA_TF):
            for context, transaction in self._owed.pop(event.assoc):
                threading.Thread(target=self._report, args=(event.assoc, context, transaction), daemon=True).start()

    def on_message(self, event: Any) -> None:
        """Note that a report was taken."""
        if isinstance(event.message, N_EVENT_REPORT_RSP):
            answer = event.message.command_set
            transaction = self._sent.pop((event.assoc, answer.get("MessageIDBeingRespondedTo")), None)
            if transaction is not None and answer.get("Status") == SUCCESS:
                self._commitments.reported(transaction, _sender(event.assoc))

    def on_close(self, event: Any) -> None:
        """Forget an association."""
        self._owed.pop(event.assoc, None)
        for key in [key for key in list(self._sent) if key[0] is event.assoc]:
            self._sent.pop(key, None)

    def _report(self, association: Association, context: PresentationContextTuple, transaction: str) -> None:
        """Send a report (PS3.4 section J.3.3), unless the peer has gone meanwhile."""
        report = self._commitments.report_for(transaction, _sender(association))
        if report is None or not association.is_established:
            return
        syntax = context.transfer_syntax
        message = N_EVENT_REPORT()
        message.MessageID = next(self._numbers) % 2**16
        message.AffectedSOPClassUID = StorageCommitmentPushModel
        message.AffectedSOPInstanceUID = StorageCommitmentPushModelInstance
        message.EventTypeID = event_type(report)
        message.EventInformation = BytesIO(encode(report, syntax.is_implicit_VR, syntax.is_little_endian) or b"")
        self._sent[association, message.MessageID] = transaction
        association.dimse.send_msg(message, context.context_id)


def _sender(association: Association) -> str:
    return str(association.requestor.ae_title).strip()
