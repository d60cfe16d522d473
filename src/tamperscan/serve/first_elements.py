"""What a data set says that it is, from its first bytes."""

from __future__ import annotations

import struct
from typing import Final

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_UNDEFINED: Final = 0xFFFFFFFF
_CLASS, _INSTANCE = (0x0008, 0x0016), (0x0008, 0x0018)


def first_uids(head: bytes, transfer_syntax: str) -> tuple[str | None, str | None]:
    """Find SOP class and SOP instance UID at the beginning of a data set.

    It is for a quick look only: what takes more than the first elements to understand is left to who reads the file.

    Parameters
    ----------
    head
        The first bytes of the data set.
    transfer_syntax
        How it is encoded.

    Returns
    -------
    sop_class, sop_instance
        None where not found.
    """
    found: dict[tuple[int, int], str] = {}
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        return None, None
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    place = 0
    while place + 8 <= len(head):
        tag = struct.unpack_from(f"{order}HH", head, place)
        start, length = _value(head, place, order, implicit=transfer_syntax == ImplicitVRLittleEndian)
        if tag > _INSTANCE or length == _UNDEFINED or start + length > len(head):
            break
        if tag in (_CLASS, _INSTANCE):
            found[tag] = head[start : start + length].rstrip(b"\0 ").decode("ascii", "replace")
        place = start + length
    return found.get(_CLASS), found.get(_INSTANCE)


def _value(head: bytes, place: int, order: str, *, implicit: bool) -> tuple[int, int]:
    """Where the value of an element begins, and how long it is."""
    if implicit:
        return place + 8, struct.unpack_from(f"{order}I", head, place + 4)[0]
    if head[place + 4 : place + 6] in _LONG:
        if place + 12 > len(head):
            return place, _UNDEFINED
        return place + 12, struct.unpack_from(f"{order}I", head, place + 8)[0]
    return place + 8, struct.unpack_from(f"{order}H", head, place + 6)[0]
