"""A disk that is soon full."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

_PAGE = 4096


class SmallDisk:
    """A file system in memory of a few bytes; where it can't be mounted, files may not be larger than those.

    Parameters
    ----------
    folder
        Where it is mounted.
    size
        In bytes; rounded up to whole pages.

    Attributes
    ----------
    largest_file
        What a process may write to one file where nothing could be mounted; 0 for no limit.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self._size = folder, max(8 * _PAGE, -(-size // _PAGE) * _PAGE)
        self.largest_file = 0

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._mount(f"size={self._size},mode=0700"):
            self.largest_file = self._size
        return self

    def grow(self, size: int) -> None:
        """Make room."""
        if not self.largest_file:
            self._mount(f"remount,size={size}")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not self.largest_file:
            subprocess.run(["umount", str(self.folder)], capture_output=True, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _mount(self, options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        try:
            return subprocess.run(words, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def can_mount() -> bool:
    """Whether this user may mount a small disk."""
    with tempfile.TemporaryDirectory() as folder, SmallDisk(Path(folder) / "disk", 1) as disk:
        return not disk.largest_file
