"""Single slices on the disk, named by their pixels: a slice that many cases share is measured once."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tamperscan.bench.grids import Grid, grid_of
from tamperscan.bench.places import Mask, Spacing
from tamperscan.bench.units import Voxels
from tamperscan.errors import BenchError
from tamperscan.files import make_folder, write_file


@dataclass(frozen=True, eq=False)
class Stored:
    """One slice as contenders get to see it.

    Attributes
    ----------
    key
        Hash of pixels, spacing and modality.
    image
        float32 ``[row, column]`` in bench units.
    region
        bool ``[row, column]``: where it is looked at.
    spacing_mm
        Distance between (rows, columns) in mm.
    modality
        ``"CT"`` or ``"MR"``.
    """

    key: str
    image: Voxels
    region: Mask
    spacing_mm: Spacing
    modality: str

    @cached_property
    def grid(self) -> Grid:
        """The nodes at which it is scored."""
        return grid_of(self.region, self.spacing_mm)


def store_slice(folder: Path, image: Voxels, region: Mask, spacing_mm: Spacing, modality: str) -> Stored:
    """Write a slice, unless it is there.

    Raises
    ------
    OutputError
        If it can't be written.
    """
    stored = Stored(_key(image, spacing_mm, modality), image, region, spacing_mm, modality)
    path = _path(folder, stored.key)
    if path.exists():
        return stored
    whole = image.astype(np.int16) if np.array_equal(image, np.rint(np.clip(image, -32768, 32767))) else image
    buffer = io.BytesIO()
    np.savez_compressed(buffer, image=whole, region=region, spacing_mm=spacing_mm, modality=modality)
    make_folder(path.parent)
    write_file(path, buffer.getvalue())
    return stored


def load_slice(folder: Path, key: str) -> Stored:
    """Read a slice.

    Raises
    ------
    BenchError
        If it is missing or damaged.
    """
    path = _path(folder, key)
    try:
        with np.load(path) as held:
            rows, columns = (float(side) for side in held["spacing_mm"])
            image = held["image"].astype(np.float32)
            return Stored(key, image, held["region"], (rows, columns), str(held["modality"]))
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise BenchError(
            f"{path}: can't be read ({error}). Remove the folder {folder} to cut the slices anew."
        ) from error


def _path(folder: Path, key: str) -> Path:
    return folder / key[:2] / f"{key}.npz"


def _key(image: Voxels, spacing_mm: Spacing, modality: str) -> str:
    told = repr((image.shape, tuple(round(side, 6) for side in spacing_mm), modality)).encode()
    return hashlib.sha256(told + np.ascontiguousarray(image, dtype="<f4").tobytes()).hexdigest()[:16]
