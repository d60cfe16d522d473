"""Where the bytes of one file are: on disk or in a zip archive."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from tamperscan.errors import ScanError


class Source(Protocol):
    """One file that may hold a scan.

    A source can be opened as often as one likes, each time from its beginning. ``label`` names it for people,
    ``stem`` and ``folder`` are what a scan may be named after.
    """

    @property
    def label(self) -> str: ...  # noqa: D102

    @property
    def stem(self) -> str: ...  # noqa: D102

    @property
    def folder(self) -> str: ...  # noqa: D102

    @property
    def suffix(self) -> str: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    def open(self) -> BinaryIO: ...  # noqa: D102


def _stem(name: str) -> str:
    """File name without the endings that say what kind of file it is."""
    for ending in (".nii.gz", ".nii", ".dcm", ".dicom", ".ima", ".npy", ".zip"):
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


def _suffix(name: str) -> str:
    """Give the ending in lower case; ``.nii.gz`` counts as one."""
    return ".nii.gz" if name.lower().endswith(".nii.gz") else PurePosixPath(name).suffix.lower()


def unreadable(label: str, error: OSError) -> ScanError:
    """Put the system's reason for not giving a file into a ScanError."""
    if isinstance(error, FileNotFoundError):
        return ScanError(label, "does not exist", "Check the path")
    if isinstance(error, PermissionError):
        return ScanError(label, "may not be read by this user", "Check its permissions")
    return ScanError(label, f"can't be read ({error.strerror or error})", "Check the disk, and copy the file again")


@dataclass(frozen=True)
class FileSource:
    """A file on disk."""

    path: Path

    @property
    def label(self) -> str:
        """The path as it was given."""
        return str(self.path)

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return _stem(self.path.name)

    @property
    def folder(self) -> str:
        """Path of the folder the file lies in."""
        return str(self.path.absolute().parent)

    @property
    def suffix(self) -> str:
        """Ending in lower case, such as ``.dcm``."""
        return _suffix(self.path.name)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise unreadable(self.label, error) from error

    def open(self) -> BinaryIO:
        """Open for reading; raises ScanError if the system refuses."""
        try:
            return self.path.open("rb")
        except OSError as error:
            raise unreadable(self.label, error) from error


@dataclass(frozen=True)
class ZipSource:
    """A member of a zip archive; it is read into memory, never unpacked to a path of its own choosing."""

    archive: zipfile.ZipFile
    archive_path: str
    member: zipfile.ZipInfo

    @property
    def label(self) -> str:
        """Path of the archive, then the member's name."""
        return f"{self.archive_path}/{self.member.filename}"

    @property
    def stem(self) -> str:
        """The member's file name without its ending."""
        return _stem(PurePosixPath(self.member.filename).name)

    @property
    def folder(self) -> str:
        """Path of the member's folder inside the archive."""
        inside = PurePosixPath(self.member.filename).parent
        return str(PurePosixPath(_stem(str(PurePosixPath(self.archive_path)))) / inside)

    @property
    def suffix(self) -> str:
        """Ending in lower case, such as ``.dcm``."""
        return _suffix(PurePosixPath(self.member.filename).name)

    @property
    def size(self) -> int:
        """Bytes once unpacked, as the archive states them."""
        return self.member.file_size

    def open(self) -> BinaryIO:
        """Unpack into memory, no further than the size that the archive states."""
        try:
            with self.archive.open(self.member) as stream:
                return io.BytesIO(stream.read(self.member.file_size))
        except (
            zipfile.BadZipFile,
            RuntimeError,
            NotImplementedError,
            EOFError,
            ValueError,
            OSError,
        ) as error:
            problem = f"can't be unpacked ({error})"
            raise ScanError(self.label, problem, "Make the zip again, without a password") from error
        except Exception as error:  # zlib.error, lzma.LZMAError: the codecs share no base class
            raise ScanError(self.label, "is damaged in the zip", "Make the zip again") from error
