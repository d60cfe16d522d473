"""Walks archives folder by folder, some hundred names at a time, so that memory does not grow with their size."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tamperscan.archive.found import LISTING_BITS, listing_text
from tamperscan.archive.headers import Unreadable
from tamperscan.archive.places import Place, file_system, out_of_reach
from tamperscan.errors import ScanError
from tamperscan.scan.sources import unreadable

BATCH: Final = 256
"""File names that are handed on at a time."""

Report = Callable[[Unreadable], None]


@dataclass(frozen=True)
class Item:
    """What lies in a folder: a name, whether it is a folder, and what changes when it does."""

    name: str
    is_folder: bool
    stamp: str


@dataclass(frozen=True)
class Folder:
    """A folder or a prefix.

    Attributes
    ----------
    place
        Where it is.
    signature
        Changes when a file in it comes, goes or changes.
    files
        How many files lie in it, those of folders below not counted.
    """

    place: Place
    signature: str
    files: int

    def batches(self) -> Iterator[tuple[str, ...]]:
        """Give the names of its files, some hundred at a time, in no order."""
        names = (item.name for item in list_folder(self.place, _ignore) if not item.is_folder)
        while batch := tuple(itertools.islice(names, BATCH)):
            yield batch


def walk(root: Place, report: Report) -> Iterator[Folder]:
    """Give a folder and all that are below it; links to folders are not followed, but told.

    Parameters
    ----------
    root
        A folder or a prefix.
    report
        Is told of what can't be listed.

    Yields
    ------
    Folder
        In memory is one open folder a level, never a list of them.
    """
    for place in _all_folders(root):
        yield look_at(place, report)


def count_files(root: Place) -> Iterator[int]:
    """Give the number of files of one folder after the other, with nothing read: for the time that is left."""
    for place in _all_folders(root):
        yield sum(not item.is_folder for item in list_folder(place, _ignore))


def look_at(place: Place, report: Report) -> Folder:
    """Count a folder's files and take its signature, without opening any of them."""
    total = files = 0
    for item in list_folder(place, report):
        if not item.is_folder:
            digest = hashlib.sha256(f"{item.name}\n{item.stamp}".encode(errors="surrogateescape")).digest()
            total += int.from_bytes(digest[: LISTING_BITS // 8], "big")
            files += 1
    return Folder(place, listing_text(total), files)


def _all_folders(root: Place) -> Iterator[Place]:
    """Give a folder and all below it, each before those in it, with one open folder a level."""
    levels = [iter([root])]
    while levels:
        here = next(levels[-1], None)
        if here is None:
            levels.pop()
            continue
        yield here
        levels.append(_below(here))


def _below(place: Place) -> Iterator[Place]:
    return (
        Place(place.kind, f"{place.where.rstrip('/')}/{item.name}")
        for item in list_folder(place, _ignore)
        if item.is_folder
    )


def _ignore(_: Unreadable) -> None:
    """Nothing: it was told when the folder was looked at first."""


def list_folder(place: Place, report: Report) -> Iterator[Item]:
    """List a folder or a prefix; what is hidden is left out.

    Parameters
    ----------
    place
        Folder or prefix.
    report
        Is told if it can't be listed, and of links to folders.
    """
    listed = _list_objects(place, report) if place.kind == "objects" else _list_local(place, report)
    return (item for item in listed if not item.name.startswith(".") and item.name != "__MACOSX")


def _list_local(place: Place, report: Report) -> Iterator[Item]:
    try:
        with os.scandir(place.where) as entries:
            for entry in entries:
                item = _local_item(entry, report)
                if item is not None:
                    yield item
    except OSError as error:
        report(_told(unreadable(place.where, error)))


def _local_item(entry: os.DirEntry[str], report: Report) -> Item | None:
    try:
        if entry.is_dir(follow_symlinks=False):
            return Item(entry.name, True, "")
        if entry.is_dir():
            problem = "is a link to a folder, which is not followed; name that folder as a source"
            report(Unreadable(str(Path(entry.path)), problem))
            return None
        status = entry.stat()
    except OSError as error:  # a dead link is a file that can't be read, and told as such
        return Item(entry.name, False, f"error {error.errno}")
    return Item(entry.name, False, f"{status.st_size} {status.st_mtime_ns}")


def _list_objects(place: Place, report: Report) -> Iterator[Item]:
    try:
        from pyarrow import fs

        files, path = file_system(place.where)
        listed = files.get_file_info(fs.FileSelector(path))
    except (OSError, ValueError) as error:
        report(_told(out_of_reach(place.where, error)))
        return
    except ScanError as error:
        report(_told(error))
        return
    for info in listed:
        yield Item(info.base_name, info.type == fs.FileType.Directory, f"{info.size} {info.mtime_ns}")


def _told(error: ScanError) -> Unreadable:
    return Unreadable(error.path, error.problem)
