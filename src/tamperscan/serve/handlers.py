"""What a receiver does with what pynetdicom tells it of: requests, instances, and what breaks."""

from __future__ import annotations

import logging
import threading
from typing import Any, Final
from weakref import WeakKeyDictionary, WeakSet

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu import A_ABORT_RQ

from tamperscan.serve.admission import why_rejected
from tamperscan.serve.answering import Answering
from tamperscan.serve.commitment import SUCCESS, Commitments
from tamperscan.serve.contexts import supported_among
from tamperscan.serve.refusals import Refusals
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.store import Arrival, Store

_P_DATA: Final = 0x04
_SERVICE_PROVIDER: Final = 2
_ENDLESS: Final = 2
LONGEST_PDU: Final = 2**21
"""Bytes of a PDU that is read: sixteen times what we ask for, so that whoever is not strict is understood."""

"""What is so many times larger than may be is not read to its end."""

_log = logging.getLogger("tamperscan.serve.handlers")


class Handlers:
    """The handlers of pynetdicom's events.

    Parameters
    ----------
    settings
        How the node listens.
    store
        Keeps instances.
    commitments
        Takes requests for storage commitment.
    refusals
        Is told of everything that is turned away.
    """

    def __init__(self, settings: NodeSettings, store: Store, commitments: Commitments, refusals: Refusals) -> None:
        self._settings, self._store = settings, store
        self._refusals = refusals
        self._answering = Answering(commitments)
        self._arriving: WeakKeyDictionary[Association, int] = WeakKeyDictionary()
        self._ended: WeakSet[Association] = WeakSet()

    def bindings(self) -> list[Any]:
        """List events and their handlers, as pynetdicom wants them."""
        return [
            (evt.EVT_CONN_OPEN, self._on_open),
            (evt.EVT_REQUESTED, self._on_request),
            (evt.EVT_REJECTED, self._on_too_many),
            (evt.EVT_DATA_RECV, self._on_data),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_DIMSE_SENT, self._on_answer),
            (evt.EVT_PDU_SENT, self._on_sent),
            (evt.EVT_CONN_CLOSE, self._on_close),
            (evt.EVT_N_ACTION, self._answering.on_action),
            (evt.EVT_DIMSE_RECV, self._answering.on_message),
            (evt.EVT_PDU_SENT, self._answering.on_sent),
            (evt.EVT_CONN_CLOSE, self._answering.on_close),
        ]

    def on_failure(self, failure: threading.ExceptHookArgs) -> None:
        """Note what ended a thread. An association ends with its thread, and what it did not finish is not kept."""
        _log.error("failed", exc_info=(failure.exc_type, failure.exc_value or failure.exc_type(), None))
        if isinstance(failure.thread, DULServiceProvider):
            self._tell("protocol error", failure.thread.assoc, problem=failure.exc_type.__name__)

    def _on_open(self, event: Any) -> None:
        """Bound what a peer may announce: pynetdicom reads as much as the head of a PDU says, up to 4 GiB."""
        connection = event.assoc.dul.socket
        read = connection.recv

        def bounded(length: int) -> bytearray:
            if length > LONGEST_PDU:
                self._tell("a PDU longer than is taken", event.assoc)
                raise ConnectionError("a PDU longer than is taken")  # closes the connection
            return bytearray(read(length))

        connection.recv = bounded

    def _on_request(self, event: Any) -> None:
        """Reject whom we don't know; of all others take what we know. Without the latter only C-ECHO is accepted."""
        association = event.assoc
        request = association.requestor.primitive
        called, calling = str(request.called_ae_title).strip(), str(request.calling_ae_title).strip()
        rejection = why_rejected(called, calling, _address(association), self._settings)
        if rejection is None:
            proposed = request.presentation_context_definition_list
            association.acceptor.supported_contexts = supported_among(proposed)
            return
        association.acse.send_reject(rejection.result, rejection.source, rejection.reason)
        self._refusals.tell(rejection.words, sender=calling, called=called, address=_address(association))
        association.kill()  # when the rejection is on its way

    def _on_too_many(self, event: Any) -> None:
        self._tell("too many associations", event.assoc)

    def _on_data(self, event: Any) -> None:
        """Watch how much arrives: a data set is in memory until it is whole."""
        if event.data[0] != _P_DATA:
            return
        size = self._arriving.get(event.assoc, 0) + len(event.data)
        self._arriving[event.assoc] = size
        if size > _ENDLESS * self._settings.largest_gib * 2**30 and event.assoc not in self._ended:
            self._ended.add(event.assoc)
            self._tell("larger than is taken", event.assoc)
            event.assoc.abort()

    def _on_answer(self, event: Any) -> None:
        self._arriving[event.assoc] = 0

    def _on_store(self, event: Any) -> Dataset:
        request, requestor = event.request, event.assoc.requestor
        arrival = Arrival(
            sop_class=str(request.AffectedSOPClassUID),
            sop_uid=str(request.AffectedSOPInstanceUID),
            agreed_class=str(event.context.abstract_syntax),
            transfer_syntax=str(event.context.transfer_syntax),
            content=request.DataSet,
            sender=str(requestor.ae_title).strip(),
            called=str(requestor.primitive.called_ae_title).strip(),
            address=_address(event.assoc),
        )
        refusal = self._store.take(arrival)
        answer = Dataset()
        answer.Status = SUCCESS
        if refusal is not None:
            answer.Status, answer.ErrorComment = refusal.status, refusal.reason[:64]
            facts = {"sop_class": arrival.sop_class, "status": f"{refusal.status:04X}"}
            self._tell(refusal.reason, event.assoc, instance=arrival.sop_uid, **facts)
        return answer

    def _on_sent(self, event: Any) -> None:
        """Tell of what breaks the rules of PS3.8: pynetdicom aborts the association."""
        if isinstance(event.pdu, A_ABORT_RQ) and event.pdu.source == _SERVICE_PROVIDER:
            self._tell("protocol error", event.assoc)

    def _on_close(self, event: Any) -> None:
        """Tell what did not arrive as a whole; nothing of it was kept."""
        message = event.assoc.dimse.message
        uid = message.command_set.get("AffectedSOPInstanceUID") if message is not None else None
        if uid is not None:
            self._tell("broken off midway", event.assoc, instance=str(uid))

    def _tell(self, reason: str, association: Association, **facts: str) -> None:
        sender = str(association.requestor.ae_title).strip()
        self._refusals.tell(reason, sender=sender, address=_address(association), **facts)


def _address(association: Association) -> str:
    return str(association.requestor.address)
