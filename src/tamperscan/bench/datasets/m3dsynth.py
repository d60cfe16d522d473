"""M3Dsynth (Zingarini et al., ICASSP 2024, arXiv 2309.07973): nodules put into and taken out of LIDC-IDRI scans.

``data.csv`` has the columns ``img_id,ty,mod,orig_id,sdir_id,coord_z,coord_y,coord_x``: the name of a scan, ``inj`` or
``rem``, the generator (``pix2pix``, ``cycle``, ``diffusion``, or ``real`` for the untouched scan), its patient and
series, and the place. The slices of a scan are ``<mod>/scan/<img_id>/slide0000.tiff`` and so on, from the head down;
the tampered voxels ``<mod>/label/<img_id>/`` likewise. ``LIDC.csv`` has the spacing in mm (``spacing_z,spacing_y,
spacing_x``) of each ``orig_id,sdir_id``, and ``sets.csv`` which patients (``orig_id``) are of which ``set``.

The tables are those of the official repository, in its folder ``data``; put them beside the scans, or into ``data``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tamperscan.bench.cases import AUTHENTIC, Case, Kind, Target, Task
from tamperscan.bench.datasets.images import image_size, tiff_slices
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

COLUMNS: Final = ("img_id", "ty", "mod", "orig_id", "sdir_id", "coord_z", "coord_y", "coord_x")
SPACING_COLUMNS: Final = ("orig_id", "sdir_id", "spacing_z", "spacing_y", "spacing_x")
REAL: Final = "real"
GENERATORS: Final = ("pix2pix", "cycle", "diffusion")

# What was done (task, kind of place), and what the same row says of the untouched scan: a nodule is there before it is
# removed, and nothing before one is put in.
_TYPES: Final[MappingProxyType[str, tuple[Task, Kind, Kind]]] = MappingProxyType(
    {"inj": ("inject", "injected", "healthy"), "rem": ("remove", "removed", "nodule")}
)
Spacing = tuple[float, float, float]


def read_m3dsynth(folder: Path, *, part: str | None = None, without: Collection[str] = ()) -> DataSet:
    """Read the release.

    Parameters
    ----------
    folder
        Folder with ``pix2pix/``, ``cycle/``, ``diffusion/`` and ``real/``, or some of them.
    part
        ``"train"``, ``"valid"`` or ``"test"`` of ``sets.csv``; None for all.
    without
        Patients such as ``"LIDC-IDRI-0001"`` that a contender learned from or was calibrated on.

    Returns
    -------
    DataSet
        A case for each row.

    Raises
    ------
    BenchError
        If a table is missing, lacks a column or holds no row.
    """
    rows = read_table(_table(folder, "data.csv"), COLUMNS)
    spacing = _spacings(_table(folder, "LIDC.csv"))
    if part is not None:
        sets = read_table(_table(folder, "sets.csv"), ("orig_id", "set"))
        chosen = {row.text("orig_id") for row in sets if row.text("set") == part}
        rows = [row for row in rows if row.values["orig_id"] in chosen]
        if not rows:
            raise BenchError(f"{folder}: no row of data.csv is of the part '{part}'. Give train, valid or test.")
    skipped: list[Skipped] = []
    cases = usable(rows, _case_of(folder, spacing, without), lambda row: row.name, skipped)
    return DataSet(tuple(cases), tuple(skipped))


def _table(folder: Path, name: str) -> Path:
    beside = folder / name
    return beside if beside.exists() else folder / "data" / name


def _spacings(path: Path) -> Mapping[tuple[str, str], Spacing]:
    """Return the spacing of each (patient, series); rows that make no sense are as good as missing."""
    spacings = {}
    for row in read_table(path, SPACING_COLUMNS):
        try:
            steps = [float(row.text(column)) for column in SPACING_COLUMNS[2:]]
            key = row.text("orig_id"), row.text("sdir_id")
        except (ValueError, UnusableError):
            continue
        if all(0 < step < 100 for step in steps):
            spacings[key] = (steps[0], steps[1], steps[2])
    return spacings


def _case_of(
    folder: Path, spacings: Mapping[tuple[str, str], Spacing], without: Collection[str]
) -> Callable[[Row], Case]:
    def make(row: Row) -> Case:
        generator, name, patient = row.text("mod"), row.text("img_id"), row.text("orig_id")
        if generator not in (*GENERATORS, REAL) or row.text("ty") not in _TYPES:
            raise UnusableError(f"is of the unknown kind '{row.text('ty')}' or generator '{generator}'")
        if patient in without:
            raise UnusableError("is of a patient that a detector was trained or calibrated on")
        spacing = spacings.get((patient, row.text("sdir_id")))
        if spacing is None:
            raise UnusableError("is of a series whose spacing LIDC.csv does not tell")
        scan = file_below(folder, f"{generator}/scan/{name}")
        place = (row.whole("coord_z"), row.whole("coord_y"), row.whole("coord_x"))
        check_inside(place, _shape(scan))
        task, tampered, before = _TYPES[row.text("ty")]
        real = generator == REAL
        return Case(
            name=f"m3dsynth_{generator}_{name}",
            group=patient,
            modality="CT",
            generator=AUTHENTIC if real else f"m3dsynth-{generator}",
            task=None if real else task,
            scan=scan,
            targets=(Target(*place, before if real else tampered),),
            mask=None if real else _mask(folder / generator / "label" / name),
            spacing_mm=spacing,
        )

    return make


def _shape(scan: Path) -> tuple[int, int, int]:
    slices = tiff_slices(scan)
    if not slices:
        raise UnusableError(f"names '{scan.name}', a folder without slices")
    return (len(slices), *image_size(slices[0]))


def _mask(folder: Path) -> Path | None:
    return folder if tiff_slices(folder) else None
