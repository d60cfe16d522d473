"""Errors that say that the machine has run out of something, whichever library raised them."""

from __future__ import annotations

import errno
from collections.abc import Iterator

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_MEMORY = {errno.ENOMEM, errno.EAGAIN}
# What libraries in C and C++ say in exceptions of their own.
_WORDS = (
    "bad_alloc",
    "bad allocation",
    "can't alloc",
    "cannot allocate memory",
    "unable to allocate",
    "failed to allocate",
    "out of memory",
    "can't start new thread",
    "failed to map segment",
)


def out_of_resources(error: BaseException) -> str | None:
    """Say in one line what the machine has run out of, and what to do; None where that is not what went wrong.

    Parameters
    ----------
    error
        Whatever was raised; what it was raised from counts too.
    """
    for each in _with_causes(error):
        if isinstance(each, OSError) and each.errno in _NO_ROOM:
            where = f"{each.filename}: " if each.filename else ""
            return f"{where}no space left to write. Make room, or name another folder with --out."
        words = str(each).casefold()
        short = isinstance(each, MemoryError) or (isinstance(each, OSError) and each.errno in _NO_MEMORY)
        if short or any(told in words for told in _WORDS):
            return "not enough memory. End other programs, allow more, or give less at a time."
    return None


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
