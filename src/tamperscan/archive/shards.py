"""Results as Parquet, in parts that are written whole, each named by its number."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tamperscan.archive.errors import missing_package
from tamperscan.archive.index import Index
from tamperscan.archive.rows import RESULT_COLUMNS, RUN_COLUMNS
from tamperscan.errors import ArchiveError
from tamperscan.files import make_folder, write_file

RESULTS: Final = "results"
RUNS: Final = "runs"
UNREADABLE: Final = "unreadable.parquet"

PARTITIONS: Final = ("modality", "year")
UNKNOWN: Final = "__HIVE_DEFAULT_PARTITION__"
"""How a partition is named whose value is not known, as Hive, Arrow and DuckDB have it."""

_ROWS_A_GROUP: Final = 4096


def write_part(folder: Path, index: Index) -> int:
    """Write the rows that are in the index alone as a new part; gives how many there were.

    A run may be killed at any moment of this: the next one does it again, with the same rows under the same names. A
    series that had a row before loses it from its old part first.
    """
    rows = index.unwritten()
    if not rows:
        return 0
    part = index.next_part()
    _drop(folder, {row["key"]: row["was_in"] for row in rows if row["was_in"] is not None})
    results = [json.loads(row["result"]) for row in rows]
    for partition, members in _by_partition(results).items():
        write_table(folder / RESULTS / partition / _name(part), members, _inside(RESULT_COLUMNS))
    write_table(folder / RUNS / _name(part), [json.loads(row["run"]) for row in rows], RUN_COLUMNS)
    index.mark_written((row["key"] for row in rows), part)
    return len(rows)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Write rows as one Parquet file, all of it or nothing.

    Raises
    ------
    OutputError
        If there is no room, or it can't be written.
    """
    arrow, parquet = load_arrow()
    table = arrow.Table.from_pylist(list(rows), schema=_schema(columns))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    make_folder(path.parent)
    write_file(path, buffer.getvalue())


def write_unreadable(folder: Path, index: Index) -> None:
    """Write the files that belong to no series, and why, as Parquet; in pieces, as they may be many."""
    from tamperscan.files import new_file

    arrow, parquet = load_arrow()
    schema = _schema({"path": "text", "problem": "text"})
    make_folder(folder)
    with new_file(folder / UNREADABLE) as file, parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _groups(index.unreadable()):
            table = [{"path": path, "problem": problem} for path, problem in rows]
            writer.write_table(arrow.Table.from_pylist(table, schema=schema))


def stored_rows(folder: Path) -> Iterator[tuple[str, str, str, int]]:
    """Give (key, listing, verdict, part) of every row in Parquet, to make a lost index from."""
    _, parquet = load_arrow()
    for path in sorted((folder / RESULTS).glob("*/*/part-*.parquet")):
        table = parquet.ParquetFile(path).read(columns=["key", "listing", "verdict"])
        part = int(path.stem.partition("-")[2])
        for row in table.to_pylist():
            yield row["key"], row["listing"] or "", row["verdict"], part


def load_arrow() -> tuple[Any, Any]:
    """Load Arrow and its module for Parquet.

    Raises
    ------
    ArchiveError
        If they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_package("pyarrow") from error
    return pyarrow, pyarrow.parquet


def _drop(folder: Path, was_in: Mapping[str, int]) -> None:
    """Take rows out of the parts that they are in, by writing these anew."""
    for part in sorted(set(was_in.values())):
        keys = {key for key, number in was_in.items() if number == part}
        for path in [*(folder / RESULTS).glob(f"*/*/{_name(part)}"), folder / RUNS / _name(part)]:
            if path.exists():
                columns = RUN_COLUMNS if path.parent.name == RUNS else _inside(RESULT_COLUMNS)
                _drop_from(path, keys, columns)


def _drop_from(path: Path, keys: set[str], columns: Mapping[str, str]) -> None:
    arrow, parquet = load_arrow()
    try:
        rows = parquet.ParquetFile(path).read().to_pylist()
    except (OSError, arrow.ArrowException) as error:
        raise ArchiveError(f"{path}: is damaged ({error}). Move it away, and with it {path.parents[2]}.") from error
    kept = [row for row in rows if row["key"] not in keys]
    if not kept:
        path.unlink()
    elif len(kept) < len(rows):
        write_table(path, kept, columns)


def _by_partition(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found["/".join(f"{name}={row[name] or UNKNOWN}" for name in PARTITIONS)].append(row)
    return found


def _inside(columns: Mapping[str, str]) -> dict[str, str]:
    """Give the columns of a file: those that its folder names are left out."""
    return {name: kind for name, kind in columns.items() if name not in PARTITIONS}


def _schema(columns: Mapping[str, str]) -> Any:
    arrow, _ = load_arrow()
    kinds = {
        "text": arrow.string(),
        "whole": arrow.int64(),
        "real": arrow.float64(),
        "texts": arrow.list_(arrow.string()),
    }
    return arrow.schema([(name, kinds[kind]) for name, kind in columns.items()])


def _groups(rows: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    import itertools

    while group := list(itertools.islice(rows, _ROWS_A_GROUP)):
        yield group


def _name(part: int) -> str:
    return f"part-{part:06}.parquet"
