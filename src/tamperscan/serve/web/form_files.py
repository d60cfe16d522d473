"""The files of a ``multipart/form-data`` request, written to disk as they come, under names that we choose.

Each goes to a file named by its number. What the sender calls it is used for two things only: the ending, which tells
the reader a NIfTI file from a text file, and the title that people see.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Final

from python_multipart.multipart import parse_options_header

from tamperscan.serve.web.settings import MOST_FILES

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_ENDING: Final = re.compile(r"(\.nii)?\.[a-z0-9]{1,8}")
_HEADER_BYTES: Final = 4096


class UploadError(Exception):
    """An upload that is refused.

    Parameters
    ----------
    status
        HTTP status to answer with.
    words
        What is wrong and what to do, for the person who sent it.
    """

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        super().__init__(words)


@dataclass
class Received:
    """What came with an upload.

    Attributes
    ----------
    folder
        What is kept of it, under a random name.
    name
        What the scan is called in reports: the folder within, which the files lie in.
    names
        What the sender calls them; for people only.
    size
        Bytes of all files.
    """

    folder: Path
    name: str = "upload"
    names: list[str] = field(default_factory=list)
    size: int = 0

    @property
    def source(self) -> Path:
        """Where the files lie."""
        return self.folder / self.name

    @property
    def title(self) -> str:
        """What the sender calls the whole: the one file, or the folder that all are in."""
        if not self.names:
            return ""
        first = PurePosixPath(self.names[0])
        if len(self.names) == 1:
            return first.name
        folders = {PurePosixPath(name).parts[0] for name in self.names}
        if len(folders) == 1 and len(first.parts) > 1:
            return first.parts[0]
        return f"{first.name} and {len(self.names) - 1} more"

    def discard(self) -> None:
        """Take it off the disk."""
        shutil.rmtree(self.folder, ignore_errors=True)


def ending_of(name: str) -> str:
    """Give the ending of a file's name where it is a harmless one (``.dcm``, ``.nii.gz``), else nothing."""
    found = re.search(r"(\.nii)?\.[^./\\]*$", name.casefold())
    return found.group() if found and _ENDING.fullmatch(found.group()) else ""


class FormFiles:
    """Writes the parts of a form to files as a parser comes to them.

    Parameters
    ----------
    received
        Where they go, and what is kept of them.
    """

    def __init__(self, received: Received) -> None:
        self._received = received
        self._file: BinaryIO | None = None
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> MultipartCallbacks:
        """Give what the parser is to call."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self.close,
        }

    def close(self) -> None:
        """Put the file that is being written on the disk, if there is one."""
        if self._file is not None:
            file, self._file = self._file, None
            with file:  # what is answered for is on the disk
                file.flush()
                os.fsync(file.fileno())

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header_name, data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header_value, data[start:end])

    def _grow(self, text: bytearray, more: bytes) -> None:
        text += more
        if len(text) > _HEADER_BYTES:
            raise UploadError(400, "The upload is damaged: a part's header is too long.")

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"filename", b"").decode("utf-8", "replace").replace("\\", "/")
        base = PurePosixPath(name).name
        # Hidden files go along with folders unseen; a DICOMDIR lists names that its files no longer have here.
        if not base or base.startswith(".") or base.upper() == "DICOMDIR":
            return
        names = self._received.names
        if len(names) >= MOST_FILES:
            raise UploadError(413, f"These are more than {MOST_FILES} files. Send one series at a time, or a zip.")
        names.append(_printable(name))
        self._file = (self._received.source / f"{len(names):06}{ending_of(base)}").open("xb")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            self._received.size += end - start


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name).strip("/ ")[:200]
