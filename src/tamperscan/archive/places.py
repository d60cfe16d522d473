"""Where the files of an archive lie, and how each is opened there: folders, zips and object stores."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, cast

from tamperscan.archive.errors import missing_package
from tamperscan.errors import ScanError
from tamperscan.scan.collect import collect
from tamperscan.scan.sources import FileSource, Source

Kind = Literal["folder", "zip", "objects", "dicomweb"]

BUFFER = 2**18
"""Bytes that are asked of an object store at a time: the headers of most images."""


@dataclass(frozen=True)
class Place:
    """Something that holds files.

    Attributes
    ----------
    kind
        ``"folder"`` (of a file system), ``"zip"``, ``"objects"`` (a prefix of an object store) or ``"dicomweb"``.
    where
        Path or address.
    """

    kind: Kind
    where: str

    @property
    def label(self) -> str:
        """How it is told to people."""
        return self.where


class _ObjectReader(io.BufferedReader):
    """Reads an object in pieces; pydicom asks files for a name."""

    name = ""


@dataclass(frozen=True)
class ObjectSource:
    """A file in an object store, or in any other file system that Arrow knows.

    Attributes
    ----------
    address
        Such as ``s3://bucket/prefix/file.dcm``.
    """

    address: str

    @property
    def label(self) -> str:
        """The address."""
        return self.address

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return PurePosixPath(self.address).stem

    @property
    def folder(self) -> str:
        """Address of the prefix that it lies under."""
        return self.address.rpartition("/")[0]

    @property
    def suffix(self) -> str:
        """Ending in lower case; ``.nii.gz`` counts as one."""
        name = self.address.lower()
        return ".nii.gz" if name.endswith(".nii.gz") else PurePosixPath(name).suffix

    @property
    def size(self) -> int:
        """Bytes stored."""
        files, path = file_system(self.address)
        try:
            return int(files.get_file_info(path).size or 0)
        except OSError as error:
            raise out_of_reach(self.address, error) from error

    def open(self) -> BinaryIO:
        """Open for reading; only what is read is fetched."""
        files, path = file_system(self.address)
        try:
            return cast("BinaryIO", _ObjectReader(files.open_input_file(path), BUFFER))
        except OSError as error:
            raise out_of_reach(self.address, error) from error


def file_system(address: str) -> tuple[Any, str]:
    """Give Arrow's file system of an address, and the path in it.

    Raises
    ------
    ScanError
        If there is no such file system, or it can't be reached.
    """
    scheme, _, rest = address.partition("://")
    host = rest.partition("/")[0]
    try:
        files, root = _file_system(f"{scheme}://{host}")
    except (OSError, ValueError) as error:
        raise out_of_reach(address, error) from error
    return files, f"{root.rstrip('/')}/{rest[len(host) :].lstrip('/')}".rstrip("/") or "/"


@lru_cache(maxsize=16)
def _file_system(root: str) -> tuple[Any, str]:
    try:
        from pyarrow import fs
    except ImportError as error:
        raise missing_package("pyarrow") from error
    files, path = fs.FileSystem.from_uri(root if not root.endswith("://") else f"{root}/")
    return files, path


def out_of_reach(address: str, error: Exception) -> ScanError:
    """Say why an object store does not give a file."""
    words = " ".join(str(error).split())[:200] or type(error).__name__
    return ScanError(address, f"can't be read ({words})", "Check the address, the network and the credentials")


def file_of(place: Place, name: str) -> Source:
    """Give one file of a folder or of a prefix."""
    if place.kind == "objects":
        return ObjectSource(f"{place.where.rstrip('/')}/{name}")
    return FileSource(Path(place.where, name))


def sources_of(place: Place, names: tuple[str, ...], opened: ExitStack) -> Iterator[Source]:
    """Give the named files of a place; of a zip the members of these names.

    Parameters
    ----------
    place
        Not one of DICOMweb.
    names
        File names; of a zip the labels of its members.
    opened
        Keeps the zip open as long as its members are read.
    """
    if place.kind != "zip":
        yield from (file_of(place, name) for name in names)
        return
    wanted = set(names)
    for source in collect(Path(place.where), opened, lambda _: None):
        if source.label in wanted:
            yield source
