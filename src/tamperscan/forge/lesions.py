"""Known lesions of a scan, from the marks of human readers that lie beside its files.

Two kinds of marks are read, both JSON lists:

``nodules.json``
    One entry for each nodule and reader (LIDC-IDRI): ``reader``, ``slices``, ``x``, ``y`` (column and row of the
    middle), ``bbox_w`` (width in pixels), ``malignancy`` ("1" to "5").
``tumour_boxes.json``
    One entry for each slice of a tumour (Lung-PET-CT-Dx): ``slice``, ``label``, ``bbox`` (``x``, ``y`` of one corner,
    then of the other).

Both count slices by the numbers that are the names of the series' files; where the names are no numbers, from the
scan's first slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from tamperscan.errors import ScanError
from tamperscan.safe_json import parse_json
from tamperscan.scan.volume import Scan

NODULES: Final = "nodules.json"
TUMOURS: Final = "tumour_boxes.json"

_ADVICE: Final = "Repair the file, or take it away so that the scan has no marks"


@dataclass(frozen=True)
class Lesion:
    """A lesion that readers have marked.

    Attributes
    ----------
    slice, row, column
        Voxel index of the middle.
    diameter_mm
        Size in the slice where it is widest, as the median of the readers.
    slice_range
        First and last slice that any reader marked, as far as the scan reaches.
    readers
        How many readers marked it.
    malignancy
        Median of their opinions from 1 (highly unlikely) to 5 (highly suspicious); None where there are none.
    """

    slice: int
    row: int
    column: int
    diameter_mm: float
    slice_range: tuple[int, int]
    readers: int
    malignancy: float | None = None


@dataclass(frozen=True)
class _Mark:
    """What one reader drew: one nodule, or one slice of a tumour. Slices as in the file, pixels of the scan."""

    reader: str
    slices: tuple[int, ...]
    row: float
    column: float
    width: float
    malignancy: float | None = None

    def __post_init__(self) -> None:
        if not self.slices:
            raise ValueError("a mark without slices")
        if not 0.0 < self.width < math.inf:
            raise ValueError(f"a mark {self.width:g} pixels wide")


def known_lesions(scan: Scan) -> list[Lesion]:
    """Read the marks that lie beside a scan's files.

    Parameters
    ----------
    scan
        A scan as `tamperscan.read_scan` gives it.

    Returns
    -------
    list of Lesion
        In the order of their slices; empty where there are no marks, or none in the slices of this scan.

    Raises
    ------
    ScanError
        If the marks can't be read or are not as described above.
    """
    if not scan.sources:
        return []
    folder = Path(scan.sources[0]).parent
    for name, parse, gap in ((NODULES, _nodule, 0), (TUMOURS, _box, 1)):
        if (folder / name).is_file():
            shown = _shown(_read(folder / name, parse), scan)
            found = (_lesion(marks, scan) for marks in _same_lesion(shown, gap))
            return sorted(found, key=lambda lesion: (lesion.slice, lesion.row, lesion.column))
    return []


def _read(path: Path, parse: Callable[[dict[str, Any]], _Mark]) -> list[_Mark]:
    try:
        return [parse(entry) for entry in parse_json(path.read_bytes())]
    except OSError as error:
        raise ScanError(path, f"can't be read ({error.strerror})", "Check its permissions") from error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ScanError(path, f"holds no marks of lesions ({type(error).__name__}: {error})", _ADVICE) from error


def _nodule(entry: dict[str, Any]) -> _Mark:
    slices = tuple(sorted(int(number) for number in entry["slices"]))
    stated = entry.get("malignancy")
    opinion = None if stated is None else float(stated)
    return _Mark(str(entry["reader"]), slices, float(entry["y"]), float(entry["x"]), float(entry["bbox_w"]), opinion)


def _box(entry: dict[str, Any]) -> _Mark:
    left, top, right, bottom = (float(side) for side in entry["bbox"])
    width = (abs(right - left) + abs(bottom - top)) / 2
    return _Mark("boxes", (int(entry["slice"]),), (top + bottom) / 2, (left + right) / 2, width)


def _shown(marks: list[_Mark], scan: Scan) -> list[_Mark]:
    """Count slices as the scan does, and leave out what it does not show."""
    index_of = {number: index for index, number in enumerate(_numbers(scan))}
    shown = []
    for mark in marks:
        slices = tuple(index_of[number] for number in mark.slices if number in index_of)
        if slices and 0 <= mark.row < scan.shape[1] and 0 <= mark.column < scan.shape[2]:
            shown.append(replace(mark, slices=slices))
    return shown


def _numbers(scan: Scan) -> list[int]:
    """Give each slice's number in the marks."""
    stems = [Path(source).stem for source in scan.sources]
    if len(stems) == scan.shape[0] and all(stem.isascii() and stem.isdigit() for stem in stems):
        return [int(stem) for stem in stems]
    return list(range(scan.shape[0]))


def _same_lesion(marks: list[_Mark], gap: int) -> list[list[_Mark]]:
    """Put together the marks of one lesion: their slices meet, and each has the other's middle within its width."""
    lesions: list[list[_Mark]] = []
    for mark in sorted(marks, key=lambda mark: mark.slices[0]):
        touched = [lesion for lesion in lesions if any(_meet(mark, other, gap) for other in lesion)]
        lesions = [lesion for lesion in lesions if lesion not in touched]
        lesions.append([mark, *(other for lesion in touched for other in lesion)])
    return lesions


def _meet(one: _Mark, other: _Mark, gap: int) -> bool:
    near = np.hypot(one.row - other.row, one.column - other.column) < max(one.width, other.width) / 2
    along = max(one.slices[0], other.slices[0]) - min(one.slices[-1], other.slices[-1])
    return bool(near and along <= gap)


def _lesion(marks: list[_Mark], scan: Scan) -> Lesion:
    """Make one lesion of its marks; larger marks say more of where its middle is."""
    weights = [mark.width**2 * len(mark.slices) for mark in marks]
    middles = [(float(np.mean(mark.slices)), mark.row, mark.column) for mark in marks]
    middle = np.rint(np.average(middles, axis=0, weights=weights)).astype(int)
    opinions = [mark.malignancy for mark in marks if mark.malignancy is not None]
    return Lesion(
        slice=int(middle[0]),
        row=int(middle[1]),
        column=int(middle[2]),
        diameter_mm=_widest(marks) * scan.spacing_mm[2],
        slice_range=(min(mark.slices[0] for mark in marks), max(mark.slices[-1] for mark in marks)),
        readers=len({mark.reader for mark in marks}),
        malignancy=median(opinions) if opinions else None,
    )


def _widest(marks: list[_Mark]) -> float:
    """Median over the readers of the largest width that each drew, in pixels."""
    by_reader: dict[str, float] = {}
    for mark in marks:
        by_reader[mark.reader] = max(mark.width, by_reader.get(mark.reader, 0.0))
    return float(median(by_reader.values()))
