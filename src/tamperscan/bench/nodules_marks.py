"""Real nodules that the project's authors marked by eye in scans without marks of readers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tamperscan.errors import ScanError

Certainty = Literal["sure", "likely"]

_ADVICE: Final = "Correct it, or give another file with --nodules"


@dataclass(frozen=True)
class Mark:
    """One nodule.

    Attributes
    ----------
    file
        Its scan, file or folder, relative to the data folder.
    slice, row, column
        Voxel index of its middle.
    diameter_mm
        Mean width in that slice.
    certainty
        ``"sure"``, or ``"likely"`` where it may be something else, such as a vessel or a scar.
    """

    file: str
    slice: int
    row: int
    column: int
    diameter_mm: float
    certainty: Certainty


def read_marks(path: Path) -> list[Mark]:
    """Read marks: a JSON object whose ``nodules`` lists objects with the attributes of `Mark`.

    Raises
    ------
    ScanError
        If the file can't be read or a mark makes no sense.
    """
    try:
        entries = json.loads(path.read_bytes())["nodules"]
    except OSError as error:
        raise ScanError(path, f"can't be read ({error.strerror})", _ADVICE) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ScanError(path, f"holds no list of nodules ({type(error).__name__}: {error})", _ADVICE) from error
    return [_mark(path, number, entry) for number, entry in enumerate(entries, start=1)]


def _mark(path: Path, number: int, entry: Any) -> Mark:
    try:
        index, row, column = (int(entry[name]) for name in ("slice", "row", "column"))
        mark = Mark(str(entry["file"]), index, row, column, float(entry["diameter_mm"]), entry["certainty"])
    except (KeyError, TypeError, ValueError) as error:
        raise ScanError(path, f"nodule {number} is incomplete ({type(error).__name__}: {error})", _ADVICE) from error
    if min(index, row, column) < 0 or not mark.diameter_mm > 0 or mark.certainty not in get_args(Certainty):
        raise ScanError(path, f"nodule {number} makes no sense: {entry}", _ADVICE)
    return mark
