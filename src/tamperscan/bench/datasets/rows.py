"""What a data set is read into, and tables whose bad rows are left out and counted."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tamperscan.bench.cases import Case
from tamperscan.errors import BenchError, TamperscanError

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class Skipped:
    """A row that can't be used.

    Attributes
    ----------
    row
        Which: the table and its line, or the name of what it tells of.
    reason
        Why, in a few words.
    """

    row: str
    reason: str


@dataclass(frozen=True)
class DataSet:
    """What was read of a data set.

    Attributes
    ----------
    cases
        Scans with what is known about them.
    skipped
        What was left out.
    """

    cases: tuple[Case, ...]
    skipped: tuple[Skipped, ...] = ()

    def __add__(self, other: DataSet) -> DataSet:
        """Join two data sets."""
        return DataSet(self.cases + other.cases, self.skipped + other.skipped)


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    name
        Table and line, for people.
    values
        By column.
    """

    name: str
    values: Mapping[str, str]

    def text(self, column: str) -> str:
        """Return a value without the space around it.

        Raises
        ------
        UnusableError
            If it is empty.
        """
        value = (self.values.get(column) or "").strip()
        if not value:
            raise UnusableError(f"has no {column}")
        return value

    def whole(self, column: str) -> int:
        """Return a whole number that is not negative; ``57.0`` is one, too.

        Raises
        ------
        UnusableError
            If it is none.
        """
        text = self.text(column)
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not (number >= 0 and number.is_integer()):
            raise UnusableError(f"has the {column} '{text}', which is no whole number from 0 on")
        return int(number)


class UnusableError(Exception):
    """A row that can't be used; caught by `usable`, which counts it."""


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    """Read a table with a head, separated by commas.

    Raises
    ------
    BenchError
        If it can't be read, lacks a column, or holds no row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows = [Row(f"{path.name} line {number}", row) for number, row in enumerate(reader, start=2)]
            known = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path}: the table can't be read ({error}). Give a table separated by commas.") from error
    missing = [name for name in columns if name not in known]
    if missing:
        raise BenchError(f"{path}: has no column {', '.join(missing)}. Its columns must be {', '.join(columns)}.")
    if not rows:
        raise BenchError(f"{path}: the table holds no row. Give one for each place.")
    return rows


def usable(
    items: Iterable[Item], make: Callable[[Item], Made], name: Callable[[Item], str], skipped: list[Skipped]
) -> Iterator[Made]:
    """Make something of each item; what can't be used is added to ``skipped`` instead."""
    for item in items:
        try:
            yield make(item)
        except UnusableError as error:
            skipped.append(Skipped(name(item), str(error)))
        except TamperscanError as error:
            skipped.append(Skipped(name(item), getattr(error, "problem", str(error))))


def file_below(folder: Path, name: str) -> Path:
    """Return the file or folder that a table names.

    Raises
    ------
    UnusableError
        If it lies outside the folder, or does not exist.
    """
    path = folder / name.lstrip("/")
    if ".." in Path(name).parts:
        raise UnusableError(f"names '{name}', which lies outside the folder")
    if not path.exists():
        raise UnusableError(f"names '{name}', which does not exist")
    return path


def check_inside(index: tuple[int, int, int], shape: tuple[int, int, int]) -> None:
    """Refuse a voxel (slice, row, column) outside a scan.

    Raises
    ------
    UnusableError
        With the scan's size.
    """
    if not all(0 <= place < side for place, side in zip(index, shape, strict=True)):
        raise UnusableError(
            f"has the place slice {index[0]}, row {index[1]}, column {index[2]} outside the scan of "
            f"{shape[0]} slices of {shape[1]} x {shape[2]} pixels"
        )
