"""Who may send, and whether there is room for what is sent."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tamperscan.serve.database import Database
from tamperscan.serve.home import Home
from tamperscan.serve.settings import NodeSettings

_REFRESH_SECONDS: Final = 1.0
_GIB: Final = 2**30


@dataclass(frozen=True)
class Rejection:
    """Why an association is rejected: result, source and reason of PS3.8 table 9-21, and words."""

    result: int
    source: int
    reason: int
    words: str


CALLED_UNKNOWN: Final = Rejection(1, 1, 7, "called AE title not recognized")
CALLING_UNKNOWN: Final = Rejection(1, 1, 3, "calling AE title not recognized")
ADDRESS_UNKNOWN: Final = Rejection(1, 1, 3, "calling AE title not allowed from this address")


def why_rejected(called: str, calling: str, address: str, settings: NodeSettings) -> Rejection | None:
    """Tell why an association is turned away; None where it is welcome.

    Parameters
    ----------
    called, calling
        AE titles, as the caller gives them.
    address
        Where it calls from.
    settings
        Whom the node knows.
    """
    if called != settings.ae_title:
        return CALLED_UNKNOWN
    if not settings.peers or any(peer.allows(calling, address) for peer in settings.peers):
        return None
    known = any(peer.allows_title(calling) for peer in settings.peers)
    return ADDRESS_UNKNOWN if known else CALLING_UNKNOWN


class Room:
    """Watches the disk: what instances may take, and what must be left to others.

    What was received since the ledger was last asked is added, so that the quota holds within a second and not only
    after it.

    Parameters
    ----------
    home
        Whose disk.
    settings
        The limits.
    used
        Gives the bytes that instances take, from the ledger.
    """

    def __init__(self, home: Home, settings: NodeSettings, used: Callable[[], int]) -> None:
        self._home, self._settings, self._ask = home, settings, used
        self._lock = threading.Lock()
        self._used, self._asked = 0, 0.0

    def why_full(self, size: int = 0) -> str:
        """Tell why nothing more is taken, empty where there is room.

        Parameters
        ----------
        size
            Bytes that are about to be kept.
        """
        disk = os.statvfs(self._home.spool)
        if disk.f_bavail * disk.f_frsize - size < self._settings.keep_free_gib * _GIB or not disk.f_favail:
            return "the disk is full"
        quota = self._settings.quota_gib
        if quota is not None and self._taken() + size > quota * _GIB:
            return "the quota is used up"
        return ""

    def add(self, size: int) -> None:
        """Count bytes that were kept."""
        with self._lock:
            self._used += size

    def _taken(self) -> int:
        with self._lock:
            if time.monotonic() - self._asked > _REFRESH_SECONDS:
                self._used, self._asked = self._ask(), time.monotonic()
            return self._used


def kept_bytes(database: Database) -> int:
    """Sum up what the kept instances take, in bytes."""
    row = database.row("SELECT COALESCE(SUM(size), 0) AS total FROM instances WHERE kept = 1")
    return int(row["total"]) if row else 0
