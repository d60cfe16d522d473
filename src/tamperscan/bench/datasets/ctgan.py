"""CT-GAN's tampered chest CT (Mirsky et al., USENIX Security 2019; UCI 520), in both layouts that are about.

Whole scans
    ``labels*.csv`` (as published, ``labels_exp1.csv`` and ``labels_exp2.csv``) with the columns
    ``type,uuid,slice,x,y``, and a folder of DICOM files named ``uuid`` for each scan, below a folder of that
    experiment. ``slice`` counts from 0 at the feet and is the name of the slice's file.
Single slices
    ``labels.csv`` with the columns ``file,type,scan,slice,x,y`` beside the files.

``x`` is the column and ``y`` the row, in pixels of the stored slice. The types are FB (a real tumour was removed), FM
(a fake one was injected), TB (nothing is there, and nothing was done) and TM (a real tumour, untouched). The headers
are copies of one reference header, so that nothing is known of the scanners.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tamperscan.bench.cases import AUTHENTIC, Case, Kind, Target, Task
from tamperscan.bench.datasets.headers import Outline, read_outline
from tamperscan.bench.datasets.rows import (
    DataSet,
    Row,
    Skipped,
    UnusableError,
    check_inside,
    file_below,
    read_table,
    usable,
)
from tamperscan.bench.labels import COLUMNS
from tamperscan.errors import BenchError

GENERATOR: Final = "ct-gan"
SCAN_COLUMNS: Final = ("type", "uuid", "slice", "x", "y")

KIND_OF_TYPE: Final[MappingProxyType[str, Kind]] = MappingProxyType(
    {"FB": "removed", "FM": "injected", "TB": "healthy", "TM": "nodule"}
)
TASK_OF_KIND: Final[MappingProxyType[str, Task]] = MappingProxyType({"injected": "inject", "removed": "remove"})


@dataclass(frozen=True)
class _Found:
    """A place that a row tells of, and the scan that it is in."""

    path: Path
    name: str
    group: str
    target: Target


def read_ctgan(folder: Path, *, generator: str = GENERATOR) -> DataSet:
    """Read a release in either layout.

    Parameters
    ----------
    folder
        Where the tables lie.
    generator
        What its tampering is called in tables.

    Returns
    -------
    DataSet
        A case for each scan (or single slice) and task; scans in which nothing was tampered with are authentic.

    Raises
    ------
    BenchError
        If there is no table, or one lacks a column or holds no row.
    """
    tables = sorted(folder.glob("labels*.csv"))
    if not tables:
        raise BenchError(f"{folder}: holds no labels*.csv. Give the folder with the tables of the CT-GAN release.")
    skipped: list[Skipped] = []
    places: list[_Found] = []
    for table in tables:
        rows = read_table(table, ("type",))
        single = "file" in rows[0].values
        rows = read_table(table, COLUMNS if single else SCAN_COLUMNS)
        place = _single_slices(folder) if single else _whole_scans(folder, table)
        places += usable(rows, place, lambda row: row.name, skipped)
    return DataSet(tuple(_cases(places, generator)), tuple(skipped))


def _single_slices(folder: Path) -> Callable[[Row], _Found]:
    outline = cache(read_outline)

    def place(row: Row) -> _Found:
        name = row.text("file")
        path = file_below(folder, name)
        target = _target(row, 0, outline(path))
        return _Found(path, f"ctgan_{path.stem}", row.text("scan"), target)

    return place


def _whole_scans(folder: Path, table: Path) -> Callable[[Row], _Found]:
    outline, folders, release = cache(read_outline), _scan_folders(folder, table), _experiment(table.stem)

    def place(row: Row) -> _Found:
        uuid = row.text("uuid")
        found = folders.get(uuid, [])
        if len(found) != 1:
            raise UnusableError(f"names the scan '{uuid}', of which there are {len(found)} folders")
        seen, number = outline(found[0]), row.text("slice")
        if number not in seen.files:
            raise UnusableError(f"has the slice {number}, which scan '{uuid}' has no file for")
        name = f"ctgan_exp{release}_{uuid}" if release else f"ctgan_{uuid}"
        return _Found(found[0], name, uuid, _target(row, seen.files.index(number), seen))

    return place


def _target(row: Row, index: int, seen: Outline) -> Target:
    kind = row.text("type")
    if kind not in KIND_OF_TYPE:
        raise UnusableError(f"has the type '{kind}', which is none of {', '.join(KIND_OF_TYPE)}")
    row.whole("slice")
    place = (index, row.whole("y"), row.whole("x"))
    check_inside(place, seen.shape)
    return Target(*place, KIND_OF_TYPE[kind])


def _scan_folders(folder: Path, table: Path) -> Mapping[str, list[Path]]:
    """Find the folders of scans by name; where the table is of one experiment, only those below its folder."""
    wanted = _experiment(table.stem)
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_dir():
            continue
        above = [_experiment(part) for part in path.relative_to(folder).parts[:-1]]
        if not wanted or wanted in above or not any(above):
            found.setdefault(path.name, []).append(path)
    return found


def _experiment(name: str) -> str:
    """Return the number of the experiment that a table or folder is of, empty if it names none."""
    number = re.search(r"exp(?:eriment)?[\s_-]*(\d+)", name, re.IGNORECASE)
    return number.group(1) if number else ""


def _cases(places: Sequence[_Found], generator: str) -> Iterator[Case]:
    by_scan: dict[str, list[_Found]] = {}
    for place in places:
        by_scan.setdefault(place.name, []).append(place)
    for name, found in by_scan.items():
        yield from _cases_of_scan(name, found, generator)


def _cases_of_scan(name: str, found: Sequence[_Found], generator: str) -> Iterator[Case]:
    """Make one case for each task; the untouched places of a scan go with the first."""
    targets = tuple(dict.fromkeys(place.target for place in found))
    tampered = tuple(target for target in targets if target.kind in TASK_OF_KIND)
    tasks = sorted({TASK_OF_KIND[target.kind] for target in tampered})
    scan, group = found[0].path, found[0].group
    if not tasks:
        yield Case(name, group, "CT", AUTHENTIC, None, scan, targets)
    for number, task in enumerate(tasks):
        called = name if len(tasks) == 1 else f"{name}_{task}"
        yield Case(called, group, "CT", generator, task, scan, targets if number == 0 else tampered)
