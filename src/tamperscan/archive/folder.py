"""A folder of results, which one run at a time may write to."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import rmtree
from types import TracebackType
from typing import Final

from tamperscan.archive.index import FILE, Index
from tamperscan.archive.shards import stored_rows, write_part
from tamperscan.errors import ArchiveError, OutputError
from tamperscan.files import make_folder

LOCK: Final = ".lock"
PATIENCE_SECONDS: Final = 20.0
"""A run that was killed takes moments to let go."""


class ResultsFolder(AbstractContextManager["ResultsFolder"]):
    """Opens a folder of results, and brings it in order if the last run was killed.

    Parameters
    ----------
    path
        The folder; it is made where it is missing.

    Attributes
    ----------
    path
        The folder.
    index
        What the runs remember.
    scratch
        Folder for Ray's sockets and logs, gone with the run; if that is killed, with the next.

    Raises
    ------
    ArchiveError
        If another run is at work there, or the index is damaged.
    OutputError
        If it can't be written.
    """

    def __init__(self, path: Path) -> None:
        make_folder(path)
        self.path, self.scratch = path, scratch_folder(path)
        self._lock = _lock(path / LOCK)
        try:
            self._tidy()
            lost = not (path / FILE).exists()
            self.index = Index(path)
            if lost:
                self.index.restore(stored_rows(path))
            write_part(path, self.index)
        except BaseException:
            os.close(self._lock)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.index.close()
        rmtree(self.scratch, ignore_errors=True)
        os.close(self._lock)

    def _tidy(self) -> None:
        """Remove what a run that was killed has left."""
        for part in self.path.rglob(".*.tmp"):
            part.unlink(missing_ok=True)
        rmtree(self.scratch, ignore_errors=True)
        try:
            self.scratch.mkdir(mode=0o700)
        except OSError as error:
            raise OutputError(f"{self.scratch}: can't be made ({error.strerror}). Remove it, or set TMPDIR.") from error


def scratch_folder(path: Path) -> Path:
    """Name the folder for Ray's sockets and logs of runs in a folder of results: short, as paths of sockets must be."""
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"tsray-{os.getuid()}-{name}")


def _lock(path: Path) -> int:
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OutputError(f"{path}: can't be written ({error.strerror}). Name another folder with --out.") from error
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                os.close(file)
                raise ArchiveError(f"{path.parent}: another run is at work there. Wait for it, or end it.") from None
            time.sleep(0.2)
        else:
            return file
