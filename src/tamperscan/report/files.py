"""Files and folders for results: each file whole or not at all, and errors in plain words."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from tamperscan.errors import OutputError


def make_folder(folder: Path) -> None:
    """Make a folder, with those above it, where it is missing.

    Parameters
    ----------
    folder
        The folder.

    Raises
    ------
    OutputError
        Where it can't be made, or may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise OutputError(f"{folder}: {_in_plain_words(error)}.") from error


def write_file(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it meanwhile sees the old content or the new, never a part.

    Parameters
    ----------
    path
        Where to; its folder must exist.
    content
        What to write.

    Raises
    ------
    OutputError
        Where it can't be written; nothing is left behind then.
    """
    with new_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written piece by piece, which takes its place in one step when all of it is there.

    Parameters
    ----------
    path
        Where to; its folder must exist.

    Yields
    ------
    A binary file.

    Raises
    ------
    OutputError
        Where it can't be written; nothing is left behind then, or after any other error.
    """
    # In the same folder, as a rename is a single step only within one file system.
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"{path}: {_in_plain_words(error)}.") from error
        raise


@contextlib.contextmanager
def scratch_file(folder: Path) -> Iterator[BinaryIO]:
    """Open a file without a name for what is too large for memory; it is gone when it is closed.

    Parameters
    ----------
    folder
        On whose disk it takes room.

    Raises
    ------
    OutputError
        Where there is no room.
    """
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            yield file
    except OSError as error:
        raise OutputError(f"{folder}: {_in_plain_words(error)}.") from error


def _in_plain_words(error: OSError) -> str:
    """Say what is in the way and what to do."""
    other = "or name another folder with --out"
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return f"something else of that name is in the way. Move it away, {other}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write here. Ask for it, {other}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write. Make room, {other}"
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long for this file system. Name a shorter folder with --out"
    return f"can't be written ({error.strerror or error}). Check the disk, {other}"
