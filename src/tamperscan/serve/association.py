"""One association, from its request to its end: C-ECHO, C-STORE and N-ACTION of storage commitment."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from typing import Final

from tamperscan.serve import dimse
from tamperscan.serve.admission import why_rejected
from tamperscan.serve.services import Services
from tamperscan.serve.store import Store
from tamperscan.serve.upper_layer import (
    ABORT,
    ASSOCIATE_RQ,
    LONGEST_ASSOCIATE,
    MAX_PDU,
    P_DATA,
    RELEASE_RP,
    RELEASE_RQ,
    Context,
    ProtocolError,
    Rejection,
    Request,
    abort_message,
    accept_message,
    data_messages,
    fragments,
    negotiate,
    parse_request,
    reject_message,
)

LONGEST_COMMAND: Final = 2**16
LONGEST_ACTION: Final = 2**24
"""Longest data set of an N-ACTION, in bytes: some hundred thousand instances."""

_log = logging.getLogger("tamperscan.serve.association")


class Association:
    """Serves one association on a connection.

    Parameters
    ----------
    connection
        The connection, with its timeout set.
    address
        Where the peer calls from.
    services
        What it needs.
    """

    def __init__(self, connection: socket.socket, address: str, services: Services) -> None:
        self._connection, self._address, self._services = connection, address, services
        self._stream = connection.makefile("rb", buffering=2**18)
        self._request = Request("", "", {}, 0, b"")
        self._contexts: dict[int, Context] = {}
        self._command = bytearray()
        self._asked: dict[int, str | int] | None = None
        self._context = 0
        self._store: Store | None = None
        self._action = bytearray()
        self._events: dict[int, str] = {}
        self._message_number = 0

    def serve(self, rejection: Rejection | None = None) -> None:
        """Serve the association until its end.

        Parameters
        ----------
        rejection
            Why it is rejected whatever it asks for.
        """
        try:
            if self._negotiate(rejection):
                while self._serve_message():
                    pass
        except (ProtocolError, struct.error) as error:
            self._services.refusals.tell("protocol error", sender=self._request.calling, problem=str(error))
            self._send_quietly(abort_message(6))
        except (OSError, EOFError, ValueError):  # the peer is gone, or silent for too long
            self._send_quietly(abort_message())
        finally:
            if self._store is not None:
                self._store.abandon()
                facts = {"sender": self._request.calling, "address": self._address, "instance": self._store.uid}
                self._services.refusals.tell("broken off midway", **facts)

    def _negotiate(self, rejection: Rejection | None) -> bool:
        kind, body = self._read(LONGEST_ASSOCIATE)
        if kind != ASSOCIATE_RQ:
            raise ProtocolError("the connection does not begin with an A-ASSOCIATE-RQ")
        self._request = parse_request(body)
        reason = rejection or why_rejected(self._request, self._address, self._services.settings)
        if reason is not None:
            self._send(reject_message(reason))
            facts = {"sender": self._request.calling, "called": self._request.called, "address": self._address}
            self._services.refusals.tell(reason.words, **facts)
            self._wait_for_close()
            return False
        self._contexts, results = negotiate(self._request.proposed, self._services.supported)
        for identifier, (syntax, _) in self._request.proposed.items():
            if results[identifier]:
                _log.debug("context refused", extra={"facts": {"sop_class": syntax, "sender": self._request.calling}})
        self._send(accept_message(self._request, self._contexts, results))
        self._connection.settimeout(self._services.settings.network_timeout)
        return True

    def _serve_message(self) -> bool:
        """Take one PDU; False at the end of the association."""
        kind, body = self._read(MAX_PDU)
        if kind == P_DATA:
            for context, command, last, part in fragments(memoryview(body)):
                self._take(context, command, last, part)
            return True
        if kind == RELEASE_RQ:
            self._send(RELEASE_RP)
            self._wait_for_close()
            return False
        if kind == ABORT:
            return False
        raise ProtocolError(f"a PDU of kind {kind} has no place here")

    def _take(self, context: int, command: bool, last: bool, part: memoryview) -> None:
        if command:
            if self._asked is not None or len(self._command) + len(part) > LONGEST_COMMAND:
                raise ProtocolError("a command begins within a data set, or is too long")
            self._command += part
            if last:
                self._context, self._asked = context, dimse.decode(bytes(self._command))
                self._command.clear()
                self._begin(self._asked)
        elif self._asked is None or context != self._context:
            raise ProtocolError("a data set comes without its command")
        else:
            self._take_data(part, last)

    def _begin(self, asked: dict[int, str | int]) -> None:
        """Begin with a command; those without a data set are answered at once."""
        if self._context not in self._contexts:
            raise ProtocolError("a command comes in a context that was not accepted")
        field = asked[dimse.COMMAND_FIELD]
        if field == dimse.C_STORE_RQ:
            self._store = Store(asked, self._contexts[self._context], self._request, self._address, self._services)
        if asked.get(dimse.DATA_SET_TYPE) == dimse.NO_DATA_SET:
            self._asked = None
            self._answer_without_data(asked, int(field))

    def _answer_without_data(self, asked: dict[int, str | int], field: int) -> None:
        if field & dimse.RESPONSE:
            transaction = self._events.pop(int(asked.get(dimse.ANSWERED_ID, -1)), "")
            if transaction and asked.get(dimse.STATUS) == dimse.SUCCESS:
                self._services.commitments.reported(transaction, self._request.calling)
            return
        self._store = None
        known = field == dimse.C_ECHO_RQ
        self._reply(dimse.answer(asked, dimse.SUCCESS if known else dimse.UNRECOGNIZED_OPERATION))

    def _take_data(self, part: memoryview, last: bool) -> None:
        assert self._asked is not None
        if self._store is not None:
            self._store.write(part)
        elif len(self._action) + len(part) > LONGEST_ACTION:
            raise ProtocolError("a data set is longer than it may be")
        else:
            self._action += part
        if not last:
            return
        asked, self._asked = self._asked, None
        if self._store is not None:
            store, self._store = self._store, None
            status, comment = store.finish()
            self._reply(dimse.answer(asked, status, comment))
        else:
            content, self._action = bytes(self._action), bytearray()
            self._act(asked, content)

    def _act(self, asked: dict[int, str | int], content: bytes) -> None:
        """Answer an N-ACTION, and report over the same association where nothing else was agreed on."""
        if (
            asked[dimse.COMMAND_FIELD] != dimse.N_ACTION_RQ
            or asked.get(dimse.REQUESTED_CLASS) != dimse.COMMITMENT_CLASS
        ):
            self._reply(dimse.answer(asked, dimse.UNRECOGNIZED_OPERATION))
            return
        if asked.get(dimse.ACTION_TYPE) != 1:
            self._reply(dimse.answer(asked, dimse.NO_SUCH_ACTION))
            return
        context, commitments = self._contexts[self._context], self._services.commitments
        status, transaction = commitments.take(content, context, self._request.calling)
        self._reply(dimse.answer(asked, status))
        if status != dimse.SUCCESS:
            return
        report = commitments.report_for(transaction, context, self._request.calling)
        if report is not None:
            self._message_number += 1
            self._events[self._message_number] = transaction
            event, data = report
            self._reply(dimse.event_report(self._message_number, event), data)

    def _reply(self, command: bytes, data: bytes | None = None) -> None:
        limit = self._request.max_pdu
        content = b"".join(data_messages(self._context, command, command=True, max_pdu=limit))
        if data is not None:
            content += b"".join(data_messages(self._context, data, command=False, max_pdu=limit))
        self._send(content)

    def _read(self, longest: int) -> tuple[int, bytes]:
        head = self._stream.read(6)
        if len(head) < 6:
            raise EOFError
        kind, length = struct.unpack(">BxI", head)
        if length > longest:
            raise ProtocolError(f"a PDU of {length} bytes is longer than agreed on")
        body = self._stream.read(length)
        if len(body) < length:
            raise EOFError
        return kind, body

    def _send(self, content: bytes) -> None:
        self._connection.sendall(content)

    def _send_quietly(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            self._send(content)

    def _wait_for_close(self) -> None:
        """Let the peer close first, as PS3.8 has it, but not for long."""
        with contextlib.suppress(OSError, ValueError):
            self._connection.settimeout(2.0)
            self._stream.read(1)
