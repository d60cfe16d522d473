"""Noting what was turned away: in the log, in the audit trail, and in numbers."""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from tamperscan.errors import TamperscanError
from tamperscan.serve.audit import REFUSED, AuditLog
from tamperscan.serve.home import Home

MOST_A_SECOND: Final = 20
"""More than so many in a second are only counted: a flood of calls must not fill the disk."""

_log = logging.getLogger("tamperscan.serve.refusals")


class Refusals:
    """Notes refusals of one process; safe for threads.

    Parameters
    ----------
    home
        Whose audit trail.
    """

    def __init__(self, home: Home) -> None:
        self._audit = AuditLog(home.audit_log)
        self._lock = threading.Lock()
        self._second, self._count, self._untold = 0, 0, 0

    def tell(self, reason: str, **facts: str) -> None:
        """Note a refusal.

        Parameters
        ----------
        reason
            Why.
        facts
            What is known of it: AE titles, an address, UIDs.
        """
        untold = self._admit()
        if untold is None:
            return
        more = {"untold": str(untold)} if untold else {}
        _log.warning("refused", extra={"facts": {"reason": reason, **facts, **more}})
        try:
            self._audit.append(REFUSED, reason=reason, **facts, **more)
        except TamperscanError:  # a full disk is the very reason; the log has it
            _log.exception("audit failed")

    def _admit(self) -> int | None:
        """Give how many went untold before this one; None where this one goes untold too."""
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._count = second, 0
            self._count += 1
            if self._count > MOST_A_SECOND:
                self._untold += 1
                return None
            untold, self._untold = self._untold, 0
            return untold
