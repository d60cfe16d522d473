"""Files and folders of any kind: each file whole or not at all, on the disk when it is called written.

The one place that writes beside, waits for the disk and moves; everything that outlives a command goes through it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tamperscan.abandoned import owned, temporary_name, tidy
from tamperscan.errors import OutputError

_MAY_BE_MOVED_OPEN = os.name != "nt"


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
    """Open a file to be written piece by piece, which takes its place in one step when all of it is on the disk.

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
    tidy(path.parent)
    # In the same folder, as a rename is a single step only within one file system.
    temporary = path.with_name(temporary_name(path.name))
    try:
        with _owned_file(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if _MAY_BE_MOVED_OPEN:
                temporary.replace(path)
        if not _MAY_BE_MOVED_OPEN:
            temporary.replace(path)
        sync(path.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"{path}: {_in_plain_words(error)}.") from error
        raise


@contextlib.contextmanager
def _owned_file(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file that nobody else takes for one that a kill left behind."""
    while True:
        with path.open("xb") as file, owned(path) as there:
            if there:
                yield file
                return


def copy_file(source: Path, target: Path) -> None:
    """Copy a file in one step; copying it onto itself does nothing.

    Raises
    ------
    OutputError
        Where it can't be read or written.
    """
    if source.resolve() == target.resolve():
        return
    with new_file(target) as copy, source.open("rb") as original:
        shutil.copyfileobj(original, copy)


def add_line(path: Path, line: str) -> None:
    """Add a line to a file of lines; one that a kill cut off before it is taken away first.

    Parameters
    ----------
    path
        Where to; its folder must exist.
    line
        Without its line end.

    Raises
    ------
    OutputError
        Where it can't be written; the file is as it was then.
    """
    try:
        with path.open("ab+") as file:
            size = _whole_lines(file)
            file.truncate(size)
            try:
                file.write(f"{line}\n".encode())
                file.flush()
            except OSError:
                os.ftruncate(file.fileno(), size)
                raise
    except OSError as error:
        raise OutputError(f"{path}: {_in_plain_words(error)}.") from error


def sync(*paths: Path) -> None:
    """Wait until files and folders are on the disk: a name that was moved is, when its folder is."""
    for path in paths:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)


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


def _whole_lines(file: BinaryIO) -> int:
    """Size of a file up to the end of its last whole line."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        begin = max(0, end - 4096)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _in_plain_words(error: OSError) -> str:
    """Say what is in the way and what to do."""
    error = _first_cause(error)
    other = "or name another folder with --out"
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return f"something else of that name is in the way. Move it away, {other}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"no permission to write here. Ask for it, {other}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no space left to write. Make room, {other}"
    if error.errno == errno.ENAMETOOLONG:
        return "the name is too long for this file system. Name a shorter folder with --out"
    words = error.strerror or " ".join(str(error).split())[:200]
    return f"can't be written ({words}). Check the disk, {other}"


def _first_cause(error: OSError) -> OSError:
    """Find the error with a number: pydicom raises another of the same kind, with a whole traceback for its words."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno is not None:
            return cause
        cause = cause.__cause__ or cause.__context__
    return error
