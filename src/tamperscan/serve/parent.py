"""Ending a process when the one that started it is gone."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

_POLL_SECONDS: Final = 0.1


def end_with(parent: int) -> None:
    """End at once when the parent is gone, however it went: nobody would look after this process.

    Parameters
    ----------
    parent
        Its process ID.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
