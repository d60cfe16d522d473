"""Which series a file belongs to, by its header alone; runs on the workers, some hundred files at a time."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tamperscan.archive.found import Entry
from tamperscan.archive.places import Place, file_of
from tamperscan.errors import ScanError
from tamperscan.scan import nifti, numpy_file, watch
from tamperscan.scan.collect import OTHER_SUFFIXES, collect
from tamperscan.scan.dicom import read_frames
from tamperscan.scan.sources import Source, unreadable

Report = Callable[[ScanError], None]

FLOAT_BYTES: Final = 4
VOXELS_PER_BYTE: Final = 2
"""Voxels that a byte of a volume file (.nii.gz, .npy) stands for, about: what is compressed unpacks to more."""

_OTHER_IMAGES: Final = ("is not a CT or MR image", "holds no image")


@dataclass(frozen=True)
class Unreadable:
    """A file that belongs to no series, and why."""

    path: str
    problem: str


@dataclass(frozen=True)
class Headers:
    """What the headers of some files say.

    Attributes
    ----------
    entries
        Files of series.
    unreadable
        What could not be read.
    passed_over
        How many files are no scans and no failure either: other kinds of DICOM objects, texts, pictures.
    """

    entries: tuple[Entry, ...]
    unreadable: tuple[Unreadable, ...]
    passed_over: int


def join_headers(some: Iterable[Headers]) -> Headers:
    """Put what was read in several goes together."""
    each = list(some)
    return Headers(
        tuple(entry for one in each for entry in one.entries),
        tuple(problem for one in each for problem in one.unreadable),
        sum(one.passed_over for one in each),
    )


def read_headers(place: Place, names: tuple[str, ...]) -> Headers:
    """Read the headers of some files of a folder or a prefix.

    Parameters
    ----------
    place
        Folder or prefix.
    names
        File names in it; zips among them are looked into.
    """
    entries: list[Entry] = []
    bad: list[Unreadable] = []
    passed_over = 0

    def report(error: ScanError) -> None:
        nonlocal passed_over
        if error.problem.startswith(_OTHER_IMAGES):
            passed_over += 1
        else:
            bad.append(Unreadable(error.path, error.problem))

    with ExitStack() as opened:
        for name in names:
            try:
                watch.reading(file_of(place, name).label, watch.HEADERS)
                found = _entries(place, name, opened, report)
                if found is None:
                    passed_over += 1
                else:
                    entries += found
            except ScanError as error:
                report(error)
            except Exception as error:  # one odd file must not end a run over many
                bad.append(Unreadable(file_of(place, name).label, f"can't be read ({type(error).__name__})"))
    return Headers(tuple(entries), tuple(bad), passed_over)


def _entries(place: Place, name: str, opened: ExitStack, report: Report) -> list[Entry] | None:
    """List what a file holds; None where it is of another kind."""
    source = file_of(place, name)
    if place.kind == "folder":
        _check_regular(Path(source.label))
    start = _start(source)
    is_dicom = start[128:132] == b"DICM"
    if name.upper() == "DICOMDIR" or (source.suffix in OTHER_SUFFIXES and not is_dicom):
        return None
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return list(_members(place, source, opened, report))
    return list(_of_file(place, name, source))


def _check_regular(path: Path) -> None:
    """Refuse what would block or never end, such as a named pipe, before it is opened."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise ScanError(path, "is a dead link, or was taken away meanwhile", "Mend it, or take it away") from error
    except (OSError, ValueError) as error:
        raise unreadable(str(path), error if isinstance(error, OSError) else FileNotFoundError()) from error
    if not stat.S_ISREG(mode):
        raise ScanError(path, "is neither a file nor a folder", "Leave it out of the archive")


def _start(source: Source) -> bytes:
    try:
        with source.open() as stream:
            return stream.read(132)
    except OSError as error:
        raise unreadable(source.label, error) from error


def _members(place: Place, source: Source, opened: ExitStack, report: Report) -> Iterator[Entry]:
    if place.kind != "folder":
        raise ScanError(source.label, "is a zip in an object store", "Unpack it there, or fetch it")
    for member in collect(Path(source.label), opened, report):
        try:
            yield from _of_file(Place("zip", source.label), member.label, member)
        except ScanError as error:
            report(error)


def _of_file(place: Place, name: str, source: Source) -> Iterator[Entry]:
    size = source.size
    if nifti.is_nifti(source) or numpy_file.is_numpy(source):
        yield Entry(place, name, f"file {source.label}", size, size * VOXELS_PER_BYTE * FLOAT_BYTES)
        return
    frames = read_frames(source)
    first = frames[0]
    yield Entry(place, name, first.series, size, first.rows * first.columns * len(frames) * FLOAT_BYTES)
