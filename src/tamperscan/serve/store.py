"""One instance on its way in: refused for a reason, or kept."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
import time
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

from tamperscan.serve.admission import Room
from tamperscan.serve.home import Home
from tamperscan.serve.settings import NodeSettings
from tamperscan.serve.spool import Incoming, Ledger, Receipt

OUT_OF_RESOURCES: Final = 0xA700
DOES_NOT_MATCH: Final = 0xA900
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
INVALID_INSTANCE: Final = 0x0117
"""Status of C-STORE (PS3.4 table B.2-1, PS3.7 annex C)."""

_UID: Final = re.compile(r"[0-9.]{1,64}")
_SOP_INSTANCE: Final = 0x00080018
_HEAD_BYTES: Final = 2**16
"""Where the UIDs of a data set stand within. More is not looked through in the process that receives."""

_log = logging.getLogger("tamperscan.serve.store")


@dataclass(frozen=True)
class Arrival:
    """An instance that has arrived as a whole.

    Attributes
    ----------
    sop_class, sop_uid
        What the command says that it is.
    agreed_class, transfer_syntax
        Of the presentation context.
    content
        The data set, encoded.
    sender, called, address
        AE titles, and where the sender calls from.
    """

    sop_class: str
    sop_uid: str
    agreed_class: str
    transfer_syntax: str
    content: BytesIO
    sender: str
    called: str
    address: str

    @property
    def size(self) -> int:
        """Length of the data set in bytes."""
        return self.content.getbuffer().nbytes


@dataclass(frozen=True)
class Refusal:
    """Why an instance is not kept: the status of the answer, and words."""

    status: int
    reason: str


class Store:
    """Keeps instances.

    Parameters
    ----------
    home, settings
        Where, and within which limits.
    ledger
        Where they are entered.
    room
        Watches the disk.
    """

    def __init__(self, home: Home, settings: NodeSettings, ledger: Ledger, room: Room) -> None:
        self._home, self._settings, self._ledger, self._room = home, settings, ledger, room

    def take(self, arrival: Arrival) -> Refusal | None:
        """Keep an instance if nothing speaks against it; it is on the disk and in the ledger when None is given."""
        refusal = self._why_refused(arrival)
        if refusal is not None:
            return refusal
        try:
            incoming = Incoming(self._home, arrival.sop_class, arrival.sop_uid, arrival.transfer_syntax)
            incoming.write(arrival.content.getbuffer())
            name, digest, size = incoming.name()
        except OSError as error:
            return Refusal(OUT_OF_RESOURCES, error.strerror or "the disk fails")
        receipt = Receipt(
            file=name,
            sha256=digest,
            size=size,
            sop_class=arrival.sop_class,
            sop_uid=arrival.sop_uid,
            transfer_syntax=arrival.transfer_syntax,
            sender=arrival.sender,
            called=arrival.called,
            address=arrival.address,
            arrived=time.time(),
        )
        return self._keep(incoming, receipt)

    def _why_refused(self, arrival: Arrival) -> Refusal | None:
        if arrival.sop_class != arrival.agreed_class:
            return Refusal(SOP_CLASS_NOT_SUPPORTED, "SOP class not supported")
        if not _UID.fullmatch(arrival.sop_uid):
            return Refusal(INVALID_INSTANCE, "SOP instance UID is no UID")
        if arrival.size > self._settings.largest_gib * 2**30:
            return Refusal(OUT_OF_RESOURCES, "larger than is taken")
        if full := self._room.why_full(arrival.size):
            return Refusal(OUT_OF_RESOURCES, full)
        sop_class, uid = _first_uids(arrival)
        if sop_class not in (None, arrival.sop_class):
            return Refusal(DOES_NOT_MATCH, "data set is of another SOP class")
        if uid not in (None, arrival.sop_uid):
            return Refusal(DOES_NOT_MATCH, "data set has another SOP instance UID")
        return None

    def _keep(self, incoming: Incoming, receipt: Receipt) -> Refusal | None:
        """Put a named file on the disk while the ledger does the same with its receipt."""
        entered = self._ledger.enter(receipt)
        try:
            try:
                incoming.close(durable=self._settings.durable)
            finally:
                entered.result()
        except Exception as error:  # whatever it was: what is not on the disk and in the ledger is not acknowledged
            _log.exception("not kept")
            (self._home.spool / receipt.file).unlink(missing_ok=True)
            with contextlib.suppress(sqlite3.Error):  # on a full disk; a row without a file counts for nothing
                self._ledger.withdraw(receipt)
            return Refusal(OUT_OF_RESOURCES, type(error).__name__)
        self._room.add(receipt.size)
        return None


def _first_uids(arrival: Arrival) -> tuple[str | None, str | None]:
    """Read SOP class and SOP instance UID of a data set, None where they are not found.

    What is harder to understand is left to who reads the file.
    """
    syntax = UID(arrival.transfer_syntax)
    if syntax.is_deflated:
        return None, None
    start = BytesIO(arrival.content.getbuffer()[:_HEAD_BYTES])
    try:
        head = read_dataset(start, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_is_later)
        found = head.get("SOPClassUID"), head.get("SOPInstanceUID")
    except Exception:  # whatever the bytes provoke
        return None, None
    return tuple(str(one) if one else None for one in found)  # type: ignore[return-value]


def _is_later(tag: BaseTag, _: str | None, __: int) -> bool:
    return int(tag) > _SOP_INSTANCE
