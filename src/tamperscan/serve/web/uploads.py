"""Receiving a scan from a browser: refused by its headers where it can be, and counted on its way to the disk."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from tamperscan.files import sync
from tamperscan.serve.database import Database
from tamperscan.serve.home import Home
from tamperscan.serve.web.form_files import FormFiles, Received, UploadError
from tamperscan.serve.web.settings import KEPT_FREE

_INCOMING: Final = "incoming-"
_DAY: Final = 86400.0

LOOK_BYTES: Final = 2**26
"""The room on the disk is looked at again whenever so many bytes more have come (64 MiB)."""

PATIENCE: Final = 60.0
"""Seconds to wait for more of an upload."""


def check_announced(content_type: str, content_length: str, uploads: Path, limit: int) -> bytes:
    """Refuse an upload by its headers alone, before a byte of it is read; give the multipart boundary.

    Parameters
    ----------
    content_type, content_length
        The request's headers, empty where it has none.
    uploads
        The folder that uploads go to; its disk must keep some room.
    limit
        Most bytes.

    Raises
    ------
    UploadError
        If it is too large, there is no room for it, or it is no form with files.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        raise UploadError(415, "Send the files as multipart/form-data, one part a file.")
    if content_length:
        if not (content_length.isascii() and content_length.isdigit()):
            raise UploadError(400, "The Content-Length is no number.")
        _check_size(int(content_length), limit)
    check_room(uploads, int(content_length or 0))
    return boundary


def check_room(uploads: Path, size: int) -> None:
    """Refuse an upload that would fill the disk.

    Raises
    ------
    UploadError
        If less than `KEPT_FREE` bytes would stay free.
    """
    if shutil.disk_usage(uploads).free - size < KEPT_FREE:
        raise UploadError(507, "The disk of the page is nearly full, so nothing more is taken. Make room there.")


async def receive(stream: AsyncIterator[bytes], boundary: bytes, uploads: Path, limit: int) -> Received:
    """Write an upload's files to a new folder; nothing stays of one that is refused or breaks off.

    Parameters
    ----------
    stream
        The request's body.
    boundary
        What parts its files.
    uploads
        The folder to make the new folder in.
    limit
        Most bytes.

    Raises
    ------
    UploadError
        If it is too large, damaged, holds no files, or the disk is full.
    """
    received = Received(uploads / f"{_INCOMING}{uuid4().hex}", f"upload-{datetime.now():%Y%m%d-%H%M%S}")
    files = FormFiles(received)
    counted = looked = 0
    try:
        with _disk_errors():
            received.folder.mkdir(mode=0o700)
            received.source.mkdir()
        parser = MultipartParser(boundary, files.callbacks())
        while chunk := await _next(stream):
            counted += len(chunk)
            _check_size(counted, limit)
            if counted - looked >= LOOK_BYTES:  # others write at the same time
                check_room(uploads, 0)
                looked = counted
            with _disk_errors():
                await run_in_threadpool(parser.write, chunk)
        parser.finalize()
        with _disk_errors():
            files.close()
        if not received.names:
            raise UploadError(400, "No file came with this upload.")
    except MultipartParseError as error:
        received.discard()
        raise UploadError(400, "The upload is damaged. Send it again.") from error
    except BaseException:  # a connection that breaks off included
        received.discard()
        raise
    finally:
        with contextlib.suppress(OSError):  # what could not be written is told already
            files.close()
    whole = received.folder.with_name(received.folder.name.removeprefix(_INCOMING))
    received.folder = received.folder.rename(whole)
    sync(whole.parent)
    return received


def clear_away(home: Home) -> None:
    """Take away what no job names: a page was killed over it. What came within a day may be going on elsewhere."""
    database = Database(home)
    jobs = database.rows("SELECT source FROM jobs WHERE origin = 'page'")
    database.close()
    named = {Path(job["source"]).parent.name for job in jobs}
    for folder in home.uploads.iterdir():
        if folder.name not in named and time.time() - folder.stat().st_mtime > _DAY:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Tell what the disk says as a refusal."""
    try:
        yield
    except OSError as error:
        problem = error.strerror or "it fails"
        raise UploadError(507, f"The disk of the page can't take this ({problem}). Make room there.") from error


async def _next(stream: AsyncIterator[bytes]) -> bytes:
    """Wait for more of a body, not for ever; nothing at its end."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                if chunk := await anext(stream):  # an empty one is not the end
                    return chunk
    except StopAsyncIteration:
        return b""
    except TimeoutError as error:
        raise UploadError(408, "Nothing more came of this upload for a while. Send it again.") from error


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise UploadError(
            413, f"This is more than the {in_words(limit)} that one upload may hold. Send one series at a time."
        )


def in_words(size: int) -> str:
    """Say a number of bytes: "2 GiB", "1.5 MiB"."""
    amount, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.4g} {unit}"
