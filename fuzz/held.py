"""A file that exists in memory alone: what a target reads its input from."""

from __future__ import annotations

import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

PLACE = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
"""Where a target puts a file that is read by its path."""


@dataclass(frozen=True)
class HeldSource:
    """Bytes that pass for a file, as `tamperscan.scan.sources.Source` describes one."""

    content: bytes
    name: str

    @property
    def label(self) -> str:
        """The file's name."""
        return self.name

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def folder(self) -> str:
        """A folder that is always the same."""
        return "held"

    @property
    def suffix(self) -> str:
        """The ending."""
        return PurePosixPath(self.name).suffix

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.content)

    def open(self) -> BinaryIO:
        """Open for reading."""
        return io.BytesIO(self.content)
