"""Which file is being read now: so that a reader that hangs or ends can be told by the file that did it.

Reading tells it here; in a process of its own, `tamperscan.scan.reader` passes it on. Elsewhere nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tamperscan.errors import ScanError

HEADERS = "headers"
PIXELS = "pixels"
"""The two stages of reading. A file that failed in the second is still planned with, and left out when decoded."""

Key = tuple[str, str]


class _Watch:
    """Who listens, and what is refused since it ended an earlier reader."""

    def __init__(self) -> None:
        self.tell: Callable[[Key | None], None] = lambda key: None
        self.refused: Mapping[Key, ScanError] = {}


_watch = _Watch()


def listen(tell: Callable[[Key | None], None]) -> None:
    """Have ``tell`` called with each file and stage, and with None when a thread has no file in hand."""
    _watch.tell = tell


def refuse(refused: Mapping[Key, ScanError]) -> None:
    """Have these files refused with these errors, each at its stage."""
    _watch.refused = refused


def reading(label: str, stage: str) -> None:
    """Say that a file, or one more frame of it, is about to be read.

    Raises
    ------
    ScanError
        If it ended an earlier reader at this stage.
    """
    if (label, stage) in _watch.refused:
        raise _watch.refused[label, stage]
    _watch.tell((label, stage))


def idle() -> None:
    """Say that this thread has nothing in hand."""
    _watch.tell(None)
