"""Finding the files that may hold scans: in a folder, a zip, a DICOMDIR."""

from __future__ import annotations

import os
import stat
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Final

from tamperscan.errors import ScanError
from tamperscan.scan import watch
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.dicom import read_dataset
from tamperscan.scan.limits import limits
from tamperscan.scan.sources import FileSource, Source, ZipSource, unreadable

Report = Callable[[ScanError], None]

SMALL_ZIP: Final = 2**28
"""What unpacks to fewer bytes may be packed as tightly as it likes."""

LONGEST_NAME: Final = 128
"""A DICOMDIR's names have at most 8 characters (PS3.10 8.2); some writers take more."""

OTHER_SUFFIXES: Final = frozenset(
    f".{suffix}"
    for kinds in (
        "json txt csv tsv md rst html htm xml xsl css js pdf log yml yaml toml ini inf exe dll bat sh py",
        "png jpg jpeg gif bmp svg ico doc docx xls xlsx bval bvec sha256 md5 db",
    )
    for suffix in kinds.split()
)
"""Files that go along with scans and are passed over without a word."""

_EMPTY_ADVICE: Final = "Give a DICOM, NIfTI or NumPy file, a zip, or a folder of them"


def collect(path: Path, opened: ExitStack, report: Report) -> list[Source]:
    """Find every file under ``path`` that may hold a scan.

    Parameters
    ----------
    path
        A file, a folder, a zip or a DICOMDIR.
    opened
        Keeps zip archives open for as long as their members are read.
    report
        Is told of what can't be opened.

    Returns
    -------
    list of Source
        Sorted by path. Hidden files and files that go along with scans (``.txt``, ...) are left out.

    Raises
    ------
    ScanError
        If ``path`` itself does not exist, may not be read, or is a damaged zip.
    """
    mode = _mode(path)
    if stat.S_ISDIR(mode):
        return [found for file in _walk(path, report) for found in _in_folder(file, opened, report)]
    if not stat.S_ISREG(mode):
        raise ScanError(path, "is neither a file nor a folder", _EMPTY_ADVICE)
    return _expand(path, opened, report)


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except (OSError, ValueError) as error:
        raise unreadable(str(path), error if isinstance(error, OSError) else FileNotFoundError()) from error


def _walk(folder: Path, report: Report) -> Iterator[Path]:
    """Regular files below a folder, in the order of their paths, hidden ones left out."""

    def refused(error: OSError) -> None:
        report(unreadable(str(error.filename), error))

    for here, folders, files in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(here, name) for name in sorted(files) if not _is_hidden(name))


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _in_folder(file: Path, opened: ExitStack, report: Report) -> list[Source]:
    """Find the sources one file of a folder stands for; report what is wrong with it."""
    try:
        if not stat.S_ISREG(_mode(file)):
            raise ScanError(file, "is neither a file nor a folder", _EMPTY_ADVICE)
        source = FileSource(file)
        if source.suffix in OTHER_SUFFIXES and not _is_dicom(source):
            return []
        if file.name.upper() == "DICOMDIR":
            return _without_listed(file, report)
        return _expand(file, opened, report)
    except ScanError as error:
        report(error)
        return []


def _without_listed(file: Path, report: Report) -> list[Source]:
    """Nothing: the folder's own files are read anyway; what the DICOMDIR lists in vain is reported."""
    _listed(file, report)
    return []


def _expand(file: Path, opened: ExitStack, report: Report) -> list[Source]:
    """Give the file itself, or what it contains or lists."""
    source = FileSource(file)
    start = _start(source)
    if start[128:132] == b"DICM":
        return _listed(file, report) if b"1.2.840.10008.1.3.10" in start else [source]
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _zip_members(file, opened, report)
    return [source]


def _start(source: Source) -> bytes:
    try:
        with source.open() as stream:
            return stream.read(1024)
    except OSError as error:
        raise unreadable(source.label, error) from error


def _is_dicom(source: Source) -> bool:
    return _start(source)[128:132] == b"DICM"


def _zip_members(file: Path, opened: ExitStack, report: Report) -> list[Source]:
    watch.reading(str(file), watch.HEADERS)
    try:
        archive = opened.enter_context(zipfile.ZipFile(file))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ScanError(file, f"is a damaged zip ({error})", "Make the zip again") from error
    members = [member for member in archive.infolist() if _is_file(member) and _is_wanted(member)]
    _check_archive(file, archive.infolist())
    sources = [ZipSource(archive, str(file), member) for member in sorted(members, key=lambda one: one.filename)]
    return [source for source in sources if _is_scan_member(source, report)]


def _is_file(member: zipfile.ZipInfo) -> bool:
    """Whether a member is no folder; `zipfile.ZipInfo.is_dir` fails where it has no name."""
    return bool(member.filename) and not member.filename.endswith("/")


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(member.filename)
    return not any(_is_hidden(part) for part in path.parts if part not in ("..", "."))


def _is_scan_member(source: ZipSource, report: Report) -> bool:
    """Whether a member may hold a scan; a zip within the zip is reported."""
    if source.suffix == ".zip":
        report(ScanError(source.label, "is a zip within a zip", "Unpack the outer zip and give the inner one"))
        return False
    if PurePosixPath(source.member.filename).name.upper() == "DICOMDIR":
        return False
    try:
        return source.suffix not in OTHER_SUFFIXES or _is_dicom(source)
    except ScanError as error:
        report(error)
        return False


def _check_archive(file: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse archives made to fill memory."""
    unpacked = sum(member.file_size for member in members)
    packed = max(1, sum(member.compress_size for member in members))
    most = limits()
    bomb = unpacked > SMALL_ZIP and unpacked / packed > most.zip_ratio
    if len(members) > most.zip_entries or unpacked > most.zip_bytes or bomb:
        problem = (
            f"unpacks to {len(members)} files of {unpacked} bytes in all, which is over the limit "
            f"({most.zip_entries} files, {most.zip_bytes} bytes, {most.zip_ratio} times its own size)"
        )
        raise ScanError(file, problem, "Unpack it yourself, if you trust it, and give the folder")


def _listed(file: Path, report: Report) -> list[Source]:
    """Find the images that a DICOMDIR lists, as far as they lie in its folder."""
    sources: list[Source] = []
    for names in _listed_names(file):
        found = _resolve(file.parent, names)
        if found is not None:
            sources.append(FileSource(found))
        else:
            missing = f"lists {'/'.join(names)}, which is not in its folder"
            report(ScanError(file, missing, "Copy the whole medium, with every folder beside the DICOMDIR"))
    return sources


def _listed_names(file: Path) -> list[list[str]]:
    """Folders and file name of every file that a DICOMDIR lists."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        directory = Attributes(read_dataset(FileSource(file), pixels=False))
        records = directory.value("DirectoryRecordSequence") or []
        texts = [Attributes(record).text("ReferencedFileID") for record in records]
    return [text.split("\\") for text in texts if text]


def _resolve(folder: Path, names: list[str]) -> Path | None:
    """Find a listed file below ``folder``, whatever the case of its name; None if there is none."""
    here = folder
    for name in names:
        if not _is_plain(name):
            return None
        here = _entry(here, name) or here / name
    return here if here.is_file() else None


def _is_plain(name: str) -> bool:
    """Whether a listed name stands for one entry of a folder and nothing else."""
    short = 0 < len(name) <= LONGEST_NAME and name not in (".", "..")
    return short and name.isprintable() and not set(name) & set("/\\")


def _entry(folder: Path, name: str) -> Path | None:
    if (folder / name).exists():
        return folder / name
    try:
        return next((entry for entry in folder.iterdir() if entry.name.lower() == name.lower()), None)
    except OSError:
        return None
