"""The messages by which two DICOM applications open and close an association (PS3.8 section 9.3), as bytes.

pynetdicom has classes for all of them. These functions do the little that an acceptor needs for each association, in a
tenth of the time: a sender that opens one for each image, and proposes a hundred presentation contexts, would otherwise
wait for nothing else. Whoever sends uses pynetdicom.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

ASSOCIATE_RQ: Final = 0x01
P_DATA: Final = 0x04
RELEASE_RQ: Final = 0x05
RELEASE_RP: Final = bytes((0x06, 0, 0, 0, 0, 4, 0, 0, 0, 0))
ABORT: Final = 0x07

LONGEST_ASSOCIATE: Final = 2**20
"""Longest A-ASSOCIATE-RQ that is read, in bytes; 128 contexts with all transfer syntaxes take an eighth of it."""

MAX_PDU: Final = 2**17
"""Longest P-DATA-TF that we ask for and accept, in bytes."""

ACCEPTED: Final = 0
ABSTRACT_SYNTAX_NOT_SUPPORTED: Final = 3
TRANSFER_SYNTAXES_NOT_SUPPORTED: Final = 4

IMPLEMENTATION_CLASS_UID: Final = "2.25.284146735925434215309124937106826474981"
"""Names this software in an association and in file meta information (PS3.7 D.3.3.2)."""

IMPLEMENTATION_VERSION: Final = "TAMPERSCAN"


class ProtocolError(Exception):
    """The peer sent what PS3.8 or PS3.7 does not allow."""


@dataclass(frozen=True)
class Rejection:
    """Why an association is rejected: result, source and reason of PS3.8 table 9-21."""

    result: int
    source: int
    reason: int
    words: str


CALLED_UNKNOWN: Final = Rejection(1, 1, 7, "called AE title not recognized")
CALLING_UNKNOWN: Final = Rejection(1, 1, 3, "calling AE title not recognized")
ADDRESS_UNKNOWN: Final = Rejection(1, 1, 3, "calling AE title not allowed from this address")
TOO_MANY: Final = Rejection(2, 3, 2, "too many associations")


@dataclass(frozen=True)
class Request:
    """What an A-ASSOCIATE-RQ asks for.

    Attributes
    ----------
    called, calling
        AE titles, without padding.
    proposed
        Abstract syntax and transfer syntaxes by the presentation context's ID.
    max_pdu
        Longest P-DATA-TF that the peer takes, in bytes; 0 for any.
    application_context
        Repeated in the answer.
    """

    called: str
    calling: str
    proposed: Mapping[int, tuple[str, tuple[str, ...]]]
    max_pdu: int
    application_context: bytes


@dataclass(frozen=True)
class Context:
    """An accepted presentation context."""

    id: int
    abstract_syntax: str
    transfer_syntax: str


def parse_request(body: bytes) -> Request:
    """Read an A-ASSOCIATE-RQ (PS3.8 table 9-11).

    Parameters
    ----------
    body
        The PDU without its first six bytes.

    Raises
    ------
    ProtocolError
        If it is damaged.
    """
    if len(body) < 68:
        raise ProtocolError("the A-ASSOCIATE-RQ is too short")
    proposed: dict[int, tuple[str, tuple[str, ...]]] = {}
    max_pdu, application_context = 0, b"1.2.840.10008.3.1.1.1"
    for kind, item in _items(body, 68):
        if kind == 0x10:
            application_context = item
        elif kind == 0x20:
            identifier, abstract, transfers = _proposal(item)
            proposed[identifier] = (abstract, transfers)
        elif kind == 0x50:
            lengths = [value for sub_kind, value in _items(item, 0) if sub_kind == 0x51 and len(value) == 4]
            max_pdu = struct.unpack(">I", lengths[0])[0] if lengths else 0
    return Request(_title(body[4:20]), _title(body[20:36]), proposed, max_pdu, application_context)


def negotiate(
    proposed: Mapping[int, tuple[str, tuple[str, ...]]], supported: Mapping[str, frozenset[str]]
) -> tuple[dict[int, Context], dict[int, int]]:
    """Choose what to accept: of each context the transfer syntax that the peer names first, so that it need not recode.

    Parameters
    ----------
    proposed
        As in `Request`.
    supported
        Transfer syntaxes by abstract syntax.

    Returns
    -------
    accepted
        Contexts by ID.
    results
        Result by ID, of all that were proposed (PS3.8 table 9-18).
    """
    accepted: dict[int, Context] = {}
    results: dict[int, int] = {}
    for identifier, (abstract, transfers) in proposed.items():
        known = supported.get(abstract)
        chosen = next((one for one in transfers if known and one in known), None)
        if known is None:
            results[identifier] = ABSTRACT_SYNTAX_NOT_SUPPORTED
        elif chosen is None:
            results[identifier] = TRANSFER_SYNTAXES_NOT_SUPPORTED
        else:
            results[identifier] = ACCEPTED
            accepted[identifier] = Context(identifier, abstract, chosen)
    return accepted, results


def accept_message(request: Request, accepted: Mapping[int, Context], results: Mapping[int, int]) -> bytes:
    """Make the A-ASSOCIATE-AC that answers a request (PS3.8 table 9-17)."""
    contexts = b"".join(_answer(identifier, accepted.get(identifier), result) for identifier, result in results.items())
    user = (
        _item(0x51, struct.pack(">I", MAX_PDU))
        + _item(0x52, IMPLEMENTATION_CLASS_UID.encode())
        + _item(0x55, IMPLEMENTATION_VERSION.encode())
    )
    titles = request.called.encode().ljust(16)[:16] + request.calling.encode().ljust(16)[:16] + bytes(32)
    body = struct.pack(">HH", 1, 0) + titles + _item(0x10, request.application_context) + contexts + _item(0x50, user)
    return struct.pack(">BBI", 0x02, 0, len(body)) + body


def reject_message(rejection: Rejection) -> bytes:
    """Make an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return struct.pack(">BBIBBBB", 0x03, 0, 4, 0, rejection.result, rejection.source, rejection.reason)


def abort_message(reason: int = 0) -> bytes:
    """Make an A-ABORT of the service provider (PS3.8 table 9-26)."""
    return struct.pack(">BBIBBBB", 0x07, 0, 4, 0, 0, 2, reason)


def data_messages(context: int, content: bytes, *, command: bool, max_pdu: int) -> Iterator[bytes]:
    """Cut a command or data set into P-DATA-TFs (PS3.8 section 9.3.5, annex E).

    Parameters
    ----------
    context
        ID of the presentation context.
    content
        The encoded command or data set.
    command
        Which of the two it is.
    max_pdu
        Longest PDU that the peer takes, in bytes; 0 for any.
    """
    room = max(1, (max_pdu or MAX_PDU) - 6)
    for start in range(0, max(1, len(content)), room):
        part = content[start : start + room]
        last = start + room >= len(content)
        yield struct.pack(">BBIIBB", P_DATA, 0, len(part) + 6, len(part) + 2, context, command | last << 1) + part


def fragments(body: memoryview) -> Iterator[tuple[int, bool, bool, memoryview]]:
    """Take the fragments out of a P-DATA-TF.

    Parameters
    ----------
    body
        The PDU without its first six bytes.

    Yields
    ------
    context, command, last, part
        ID of the presentation context, whether the part is of a command, whether it is its last, and the part.

    Raises
    ------
    ProtocolError
        If the lengths don't add up.
    """
    place = 0
    while place < len(body):
        if place + 6 > len(body):
            raise ProtocolError("a P-DATA-TF ends within a header")
        length, context, control = struct.unpack_from(">IBB", body, place)
        end = place + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolError("a presentation data value is longer than its P-DATA-TF")
        yield context, bool(control & 1), bool(control & 2), body[place + 6 : end]
        place = end


def _items(content: bytes, place: int) -> Iterable[tuple[int, bytes]]:
    found = []
    while place < len(content):
        if place + 4 > len(content):
            raise ProtocolError("an item is cut off")
        kind, length = struct.unpack_from(">BxH", content, place)
        if place + 4 + length > len(content):
            raise ProtocolError("an item is longer than what holds it")
        found.append((kind, content[place + 4 : place + 4 + length]))
        place += 4 + length
    return found


def _proposal(item: bytes) -> tuple[int, str, tuple[str, ...]]:
    if len(item) < 4:
        raise ProtocolError("a presentation context is too short")
    inside = _items(item, 4)
    abstract = next((_uid(value) for kind, value in inside if kind == 0x30), "")
    return item[0], abstract, tuple(_uid(value) for kind, value in inside if kind == 0x40)


def _answer(identifier: int, context: Context | None, result: int) -> bytes:
    # Where a context is not accepted the transfer syntax has no meaning, but must be there.
    syntax = context.transfer_syntax if context else "1.2.840.10008.1.2"
    return _item(0x21, bytes((identifier, 0, result, 0)) + _item(0x40, syntax.encode()))


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _uid(content: bytes) -> str:
    return content.rstrip(b"\0 ").decode("ascii", "replace")


def _title(content: bytes) -> str:
    return content.decode("ascii", "replace").strip(" \0")
