"""What discovery finds: series, each with a key that stays the same from run to run."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from tamperscan.archive.places import Place

KEY_DIGITS: Final = 32
LISTING_BITS: Final = 128


@dataclass(frozen=True)
class Entry:
    """One file that belongs to a series.

    Attributes
    ----------
    place, name
        Where it lies.
    series
        What groups files: the SeriesInstanceUID, or where the file lies if it has none.
    size
        Bytes as stored.
    voxel_bytes
        Bytes of its voxels once decoded.
    """

    place: Place
    name: str
    series: str
    size: int
    voxel_bytes: int

    @property
    def listing(self) -> int:
        """A number for the file; the sum over a series changes when a file comes, goes or changes in size."""
        return _number(f"{self.name}\n{self.size}")


@dataclass(frozen=True)
class Part:
    """The files of a series that lie at one place."""

    place: Place
    names: tuple[str, ...]


@dataclass(frozen=True)
class FoundSeries:
    """A series of an archive.

    Attributes
    ----------
    key
        32 hexadecimal digits made of ``series``: the same in every run, and safe in a file name.
    series
        SeriesInstanceUID, or where the file lies that has none.
    parts
        Its files.
    listing
        Sum of its files' numbers, in hexadecimal digits: another one says that the series has changed. Empty where
        it is not known, as by DICOMweb.
    size, voxel_bytes
        Bytes as stored, and of the voxels once decoded (both 0 if not known).
    """

    key: str
    series: str
    parts: tuple[Part, ...]
    listing: str = ""
    size: int = 0
    voxel_bytes: int = 0

    @property
    def files(self) -> int:
        """How many files it has."""
        return sum(len(part.names) for part in self.parts)


def series_key(series: str) -> str:
    """Name a series without using any character of its UID, which anyone may have written."""
    return hashlib.sha256(series.encode(errors="surrogateescape")).hexdigest()[:KEY_DIGITS]


def sum_listings(listings: list[str]) -> str:
    """Add up numbers of files, whatever their order."""
    return listing_text(sum(int(one, 16) for one in listings if one))


def listing_text(total: int) -> str:
    """Write a sum of numbers of files with a fixed number of digits."""
    return f"{total % 2**LISTING_BITS:0{LISTING_BITS // 4}x}"


def _number(text: str) -> int:
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[: LISTING_BITS // 8], "big")
