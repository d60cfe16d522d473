"""The places that were tampered with in real CT-GAN slices, as their authors noted them."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

from tamperscan.errors import ScanError

LABELS_FILE = "labels.csv"
FOLDS = 5
COLUMNS = ("file", "type", "scan", "slice", "x", "y")

Kind = Literal["FB", "FM"]
KINDS: dict[Kind, str] = {"FB": "removal", "FM": "injection"}


@dataclass(frozen=True)
class Label:
    """A tampered place.

    Attributes
    ----------
    file
        File name of its centre slice.
    kind
        ``"FB"`` (a real tumour was removed) or ``"FM"`` (a fake tumour was injected).
    scan
        The scan that the slice is of.
    slice
        Number of the slice in that scan.
    row, column
        Centre of the tampering in pixels: y and x of the labels.
    """

    file: str
    kind: Kind
    scan: str
    slice: int
    row: int
    column: int

    @property
    def development(self) -> bool:
        """Whether the scan is of the half that was looked at while the statistics were chosen."""
        return is_development(self.scan)

    @property
    def fold(self) -> int:
        """Which of `FOLDS` parts the scan is of, by the hash of its name."""
        return int(hashlib.sha256(self.scan.encode()).hexdigest(), 16) // 2 % FOLDS


def is_development(scan: str) -> bool:
    """Tell the half that a scan is of; the hash of its name decides, which knows nothing of the images."""
    return int(hashlib.sha256(scan.encode()).hexdigest(), 16) % 2 == 0


def read_labels(folder: Path) -> list[Label]:
    """Read ``labels.csv`` of a folder of tampered slices.

    Raises
    ------
    ScanError
        If it is missing, lacks a column, or a line makes no sense.
    """
    path = folder / LABELS_FILE
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
            known = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ScanError(path, f"can't be read ({error})", "Give the folder that holds ctgan/labels.csv") from error
    missing = [name for name in COLUMNS if name not in known]
    if missing:
        raise ScanError(path, f"has no column {', '.join(missing)}", f"Its columns must be {','.join(COLUMNS)}")
    if not rows:
        raise ScanError(path, "holds no labels", "Give a line for each tampered place")
    return [_label(path, number, row) for number, row in enumerate(rows, start=2)]


def _label(path: Path, number: int, row: dict[str, str]) -> Label:
    kind, file = row["type"], row["file"] or ""
    if kind not in get_args(Kind):
        raise ScanError(path, f"line {number} has the type '{kind}'", "It must be FB (removal) or FM (injection)")
    if not file or Path(file).name != file:
        raise ScanError(path, f"line {number} has the file '{file}'", "It must be a file name in the same folder")
    try:
        index, column, line = (int(row[name]) for name in ("slice", "x", "y"))
    except (TypeError, ValueError) as error:
        raise ScanError(path, f"line {number} has a slice, x or y that is no whole number", "Correct it") from error
    return Label(file, cast("Kind", kind), row["scan"], index, line, column)
