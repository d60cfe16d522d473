"""The test sets of Back-in-Time Diffusion (Grabovski et al., arXiv 2407.15169), as the authors put them on Kaggle.

``CT/injection/CT_injection.csv``, ``CT/removal/CT_removal.csv``, ``MRI/MRI_injection.csv`` and ``MRI/MRI_removal.csv``
with the columns ``path,x,y,type``: a slice for each row, and the middle of the patch that their detector is given. CT
slices are NumPy arrays in HU, MR slices are 8-bit PNG. The types are FM and FB (tampered), TM and TB (authentic) as in
CT-GAN. In the tables of CT, columns such as ``CTGAN-CT-injection`` and ``SD-CT-injection`` hold 1 for the rows of each
generator; all MR was tampered with by Stable Diffusion.

The files tell no spacing, so that no distance in them is known, and the tables no patient: a slice and its tampered
copies are a group, and so are all slices of a patient whose number is in their path.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.datasets.ctgan import KIND_OF_TYPE, TASK_OF_KIND
from tamperscan.bench.datasets.images import image_size
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
from tamperscan.errors import BenchError

COLUMNS: Final = ("path", "x", "y", "type")
TABLES: Final = (
    "CT/injection/CT_injection.csv",
    "CT/removal/CT_removal.csv",
    "MRI/MRI_injection.csv",
    "MRI/MRI_removal.csv",
)
CT_GAN: Final = "btd-ct-gan"
STABLE_DIFFUSION: Final = "btd-stable-diffusion"

_MARKS: Final = (("CTGAN-", CT_GAN), ("SD-", STABLE_DIFFUSION))
_PATIENT: Final = re.compile(r"LIDC-IDRI-\d+|Breast_MRI_\d+", re.IGNORECASE)
_COPY: Final = re.compile(r"^(injection|removal)_|_(fake|injection|removal)$", re.IGNORECASE)
_IMAGE_SUFFIXES: Final = {"CT": (".npy",), "MR": (".png",)}


@dataclass(frozen=True)
class _Table:
    """One of the tables, and what its rows are."""

    path: Path
    root: Path
    modality: str

    @property
    def name(self) -> str:
        """As part of the names of cases."""
        return self.path.stem


def read_btd(folder: Path) -> DataSet:
    """Read those of the tables that are there.

    Parameters
    ----------
    folder
        Folder with ``CT/`` and ``MRI/`` in it, or one of them.

    Returns
    -------
    DataSet
        A case for each row.

    Raises
    ------
    BenchError
        If there is no table, or one lacks a column or holds no row.
    """
    tables = [
        _Table(folder / name, folder, "CT" if name.startswith("CT/") else "MR")
        for name in TABLES
        if (folder / name).is_file()
    ]
    if not tables:
        raise BenchError(f"{folder}: holds none of {', '.join(TABLES)}. Give the folder of the BTD test sets.")
    skipped: list[Skipped] = []
    cases: list[Case] = []
    for table in tables:
        rows = list(enumerate(read_table(table.path, COLUMNS), start=2))
        cases += usable(rows, _case_of(table), lambda row: row[1].name, skipped)
    return DataSet(tuple(cases), tuple(skipped))


def _case_of(table: _Table) -> Callable[[tuple[int, Row]], Case]:
    def make(numbered: tuple[int, Row]) -> Case:
        line, row = numbered
        path = file_below(table.root, row.text("path"))
        if path.suffix.lower() not in _IMAGE_SUFFIXES[table.modality]:
            raise UnusableError(f"names '{path.name}', which is no {_IMAGE_SUFFIXES[table.modality][0]} file")
        place = (0, row.whole("y"), row.whole("x"))
        check_inside(place, (1, *_size(path)))
        kind = KIND_OF_TYPE.get(row.text("type"))
        if kind is None:
            raise UnusableError(f"has the type '{row.text('type')}', which is none of {', '.join(KIND_OF_TYPE)}")
        task = TASK_OF_KIND.get(kind)
        return Case(
            name=f"btd_{table.name}_{line}_{path.stem}",
            group=_group(row.text("path")),
            modality=table.modality,
            generator=_generator(row, table) if task else AUTHENTIC,
            task=task,
            scan=path,
            targets=(Target(*place, kind),),
        )

    return make


def _generator(row: Row, table: _Table) -> str:
    """Tell by the marks of a row what it was tampered with."""
    if table.modality == "MR":
        return STABLE_DIFFUSION
    marked = {
        name
        for start, name in _MARKS
        for column, value in row.values.items()
        if column and column.startswith(start) and value in ("1", "1.0")
    }
    if len(marked) != 1:
        raise UnusableError("does not tell which generator tampered with it")
    return marked.pop()


def _group(path: str) -> str:
    patient = _PATIENT.search(path)
    return patient.group(0) if patient else _COPY.sub("", Path(path).stem)


def _size(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of a slice, by its header."""
    if path.suffix.lower() == ".png":
        return image_size(path)
    try:
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, EOFError) as error:
        raise UnusableError(f"names '{path.name}', which is no NumPy file that can be read") from error
    if len(shape) != 2:
        raise UnusableError(f"names '{path.name}', which is no single slice")
    return int(shape[0]), int(shape[1])
