"""Temporary files that a living process owns, and those that a kill has left behind.

Who writes one holds a lock of the operating system on it, which ends with the process however that ends. So whoever
writes next into the same folder can remove what nobody owns, and leaves alone what another run is writing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

fcntl: Any = None  # on Windows, where nobody can remove a file that another has open
with contextlib.suppress(ImportError):
    fcntl = import_module("fcntl")

TEMPORARY: Final = ".tmp"
"""Ending of what is being written; what bears it after a kill is no result."""

_NAME: Final = re.compile(r"\.(.+\.)?[0-9a-f]{32}" + re.escape(TEMPORARY))
_NO_FOLLOWING: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

_tidied: set[str] = set()


def temporary_name(name: str = "") -> str:
    """Name what is being written beside its place."""
    return f".{name}.{uuid4().hex}{TEMPORARY}" if name else f".{uuid4().hex}{TEMPORARY}"


@contextlib.contextmanager
def owned(path: Path) -> Iterator[bool]:
    """Own a temporary file or folder that was just made, until the end of the block.

    Yields
    ------
    Whether it is still there: another process may have removed it before it was owned.
    """
    if fcntl is None:
        yield True
        return
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        with contextlib.suppress(OSError):  # a file system without locks: nobody can tell that it is left behind
            fcntl.flock(file, fcntl.LOCK_EX)
        yield path.exists()
    finally:
        os.close(file)


def tidy(folder: Path) -> None:
    """Remove temporary files directly in a folder that nobody owns, once for each folder in the life of a process."""
    if str(folder) not in _tidied:
        _tidied.add(str(folder))
        remove_abandoned(folder)


def remove_abandoned(folder: Path, *, folders: bool = False) -> None:
    """Remove the temporary files directly in a folder that nobody owns, or the temporary folders.

    Parameters
    ----------
    folder
        Where to look; nothing happens where it can't be read.
    folders
        Whether to remove folders and what is in them, not files.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and _is_one(entry, folders):
                with contextlib.suppress(OSError):  # somebody else was quicker, or may do so and we may not
                    _remove(Path(entry.path))


def _is_one(entry: os.DirEntry[str], folders: bool) -> bool:
    return entry.is_dir(follow_symlinks=False) if folders else entry.is_file(follow_symlinks=False)


def _remove(path: Path) -> None:
    """Remove one unless somebody owns it; raises OSError then."""
    if fcntl is None:
        path.unlink()
        return
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | _NO_FOLLOWING)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(file)
