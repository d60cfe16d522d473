"""Takes the first part out of a multipart answer while it arrives (RFC 2046 5.1, PS3.18 8.6.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message
from typing import Final

LONGEST_HEADERS: Final = 2**16
"""Bytes that may stand before a part's content."""

_REST: Final = 16
"""So many pieces after the first part are read and thrown away."""


class MultipartError(Exception):
    """An answer that is not as its head says, or that breaks off."""


def boundary_of(content_type: str) -> bytes | None:
    """Give the boundary that a Content-Type names; None where the answer is not in parts.

    Raises
    ------
    MultipartError
        If it is in parts, and names no boundary.
    """
    message = Message()
    message["Content-Type"] = content_type
    if message.get_content_maintype() != "multipart":
        return None
    boundary = message.get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 200:
        raise MultipartError("it is in parts without a boundary")
    return boundary.encode("latin-1", "replace")


def first_part(chunks: Iterable[bytes], boundary: bytes) -> Iterator[bytes]:
    """Give the content of the first part, piece by piece.

    Parameters
    ----------
    chunks
        The body as it arrives.
    boundary
        What parts its parts.

    Raises
    ------
    MultipartError
        If there is no part, or the body ends before the part does.
    """
    arriving = iter(chunks)
    delimiter = b"\r\n--" + boundary
    # A body may begin with the delimiter itself; with a line end before it, it is found as all others are.
    held = _after(b"\r\n", delimiter, arriving)
    held = _after(held, b"\r\n\r\n", arriving)
    while (at := held.find(delimiter)) < 0:
        keep = len(delimiter) - 1
        if len(held) > keep:
            yield held[:-keep]
            held = held[-keep:]
        held += _next(arriving)
    yield held[:at]
    for _ in zip(range(_REST), arriving, strict=False):  # a connection is used again only after all of an answer
        pass


def _after(held: bytes, mark: bytes, arriving: Iterator[bytes]) -> bytes:
    """Give what follows a mark."""
    while (at := held.find(mark)) < 0:
        if len(held) > LONGEST_HEADERS:
            raise MultipartError("its first part does not begin")
        held += _next(arriving)
    return held[at + len(mark) :]


def _next(arriving: Iterator[bytes]) -> bytes:
    for chunk in arriving:
        if chunk:
            return chunk
    raise MultipartError("it broke off")
