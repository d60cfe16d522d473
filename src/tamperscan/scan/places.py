"""What is planned under a path: volumes that were found by their headers, and the files that each is made of."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tamperscan.errors import ScanError
from tamperscan.scan.sources import FileSource, Source, ZipSource
from tamperscan.scan.volume import Scan

Report = Callable[[ScanError], None]


@dataclass(frozen=True)
class Found:
    """A volume that was found and not decoded yet.

    Attributes
    ----------
    hint
        What to name it after.
    places
        Where its files are, each once, in the order of its slices.
    """

    hint: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Place:
    """Where one file of a scan is.

    Attributes
    ----------
    label
        Its path or, in a zip, the path of the zip and then the member's name.
    archive, member
        The zip and the member's name in it; empty for a file on disk.
    """

    label: str
    archive: str = ""
    member: str = ""

    def source(self, opened: ExitStack) -> Source:
        """Give the file for reading its bytes; a zip stays open until ``opened`` is closed. Raises ScanError."""
        if not self.archive:
            return FileSource(Path(self.label))
        try:
            archive = opened.enter_context(zipfile.ZipFile(self.archive))
            return ZipSource(archive, self.archive, archive.getinfo(self.member))
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            raise ScanError(self.label, "does not exist any more", "Keep the zip until its scans are read") from error


def place_of(source: Source) -> Place:
    """Say where a source is."""
    if isinstance(source, ZipSource):
        return Place(source.label, source.archive_path, source.member.filename)
    return Place(source.label)


class Plan(Protocol):
    """The volumes under a path."""

    @property
    def found(self) -> Sequence[Found]:
        """What was found."""
        ...

    def build(self, number: int, name: str) -> Scan | None:
        """Decode a volume; None where that fails, after telling why."""
        ...
