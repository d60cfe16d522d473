"""Commands of DIMSE (PS3.7 annex E), as bytes: always Implicit VR Little Endian, always group 0000."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from tamperscan.serve.upper_layer import ProtocolError

C_STORE_RQ: Final = 0x0001
C_ECHO_RQ: Final = 0x0030
N_EVENT_REPORT_RQ: Final = 0x0100
N_ACTION_RQ: Final = 0x0130
RESPONSE: Final = 0x8000
NO_DATA_SET: Final = 0x0101

SUCCESS: Final = 0x0000
OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
INVALID_INSTANCE: Final = 0x0117
UNRECOGNIZED_OPERATION: Final = 0x0211
PROCESSING_FAILURE: Final = 0x0110
NO_SUCH_ACTION: Final = 0x0123

AFFECTED_CLASS: Final = 0x0002
REQUESTED_CLASS: Final = 0x0003
COMMAND_FIELD: Final = 0x0100
MESSAGE_ID: Final = 0x0110
ANSWERED_ID: Final = 0x0120
DATA_SET_TYPE: Final = 0x0800
STATUS: Final = 0x0900
ERROR_COMMENT: Final = 0x0902
AFFECTED_INSTANCE: Final = 0x1000
REQUESTED_INSTANCE: Final = 0x1001
EVENT_TYPE: Final = 0x1002
ACTION_TYPE: Final = 0x1008

COMMITMENT_CLASS: Final = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE: Final = "1.2.840.10008.1.20.1.1"
"""Storage Commitment Push Model: its SOP class, and the one instance of it that there is (PS3.4 annex J)."""

_UIDS: Final = frozenset((AFFECTED_CLASS, REQUESTED_CLASS, AFFECTED_INSTANCE, REQUESTED_INSTANCE))
_NUMBERS: Final = frozenset(
    (COMMAND_FIELD, MESSAGE_ID, ANSWERED_ID, DATA_SET_TYPE, STATUS, EVENT_TYPE, ACTION_TYPE, 0x0700)
)

Command = Mapping[int, str | int]


def decode(content: bytes) -> dict[int, str | int]:
    """Read a command: values by element number; what is not known here is left out.

    Raises
    ------
    ProtocolError
        If it is damaged, or names no command.
    """
    values: dict[int, str | int] = {}
    place = 0
    while place + 8 <= len(content):
        group, element, length = struct.unpack_from("<HHI", content, place)
        value = content[place + 8 : place + 8 + length]
        if group != 0 or len(value) != length:
            raise ProtocolError("a command is damaged")
        if element in _UIDS:
            values[element] = value.rstrip(b"\0 ").decode("ascii", "replace")
        elif element in _NUMBERS and length == 2:
            values[element] = struct.unpack("<H", value)[0]
        place += 8 + length
    if COMMAND_FIELD not in values or (MESSAGE_ID not in values and ANSWERED_ID not in values):
        raise ProtocolError("a command has no command field or no message ID")
    return values


def encode(command: Command) -> bytes:
    """Write a command; its elements are put in order, and their length before them."""
    elements = b"".join(_element(number, command[number]) for number in sorted(command))
    return _element_bytes(0, struct.pack("<I", len(elements))) + elements


def answer(request: Command, status: int, comment: str = "") -> bytes:
    """Write the response to a request: C-ECHO, C-STORE, N-ACTION, N-EVENT-REPORT.

    Parameters
    ----------
    request
        What was asked.
    status
        How it went (PS3.7 annex C, PS3.4 table B.2-1).
    comment
        Why, in at most 64 characters.
    """
    response: dict[int, str | int] = {
        COMMAND_FIELD: int(request[COMMAND_FIELD]) | RESPONSE,
        ANSWERED_ID: int(request.get(MESSAGE_ID, 0)),
        DATA_SET_TYPE: NO_DATA_SET,
        STATUS: status,
    }
    for asked, told in (
        (AFFECTED_CLASS, AFFECTED_CLASS),
        (AFFECTED_INSTANCE, AFFECTED_INSTANCE),
        (REQUESTED_CLASS, AFFECTED_CLASS),
        (REQUESTED_INSTANCE, AFFECTED_INSTANCE),
        (ACTION_TYPE, ACTION_TYPE),
    ):
        if asked in request:
            response[told] = request[asked]
    if comment:
        response[ERROR_COMMENT] = comment[:64]
    return encode(response)


def event_report(message: int, event: int) -> bytes:
    """Write the N-EVENT-REPORT of storage commitment (PS3.4 section J.3.3); its data set follows.

    Parameters
    ----------
    message
        Its message ID.
    event
        1 where all is kept, 2 where something is not.
    """
    return encode(
        {
            AFFECTED_CLASS: COMMITMENT_CLASS,
            AFFECTED_INSTANCE: COMMITMENT_INSTANCE,
            COMMAND_FIELD: N_EVENT_REPORT_RQ,
            MESSAGE_ID: message,
            DATA_SET_TYPE: 0x0001,
            EVENT_TYPE: event,
        }
    )


def _element(number: int, value: str | int) -> bytes:
    if isinstance(value, int):
        return _element_bytes(number, struct.pack("<H", value))
    content = value.encode("ascii", "replace")
    return _element_bytes(number, content + (b"\0" if number in _UIDS else b" ") * (len(content) % 2))


def _element_bytes(number: int, content: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(content)) + content
