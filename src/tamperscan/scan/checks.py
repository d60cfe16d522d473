"""The limits every input has to keep, whatever its format."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ScanError
from tamperscan.scan.limits import limits

MIN_SIDE: Final = 16
"""Fewest rows or columns that a slice may have."""


def check_size(label: str, slices: int, rows: int, columns: int) -> None:
    """Refuse a volume that is too small to judge or too large to hold.

    Raises
    ------
    ScanError
        If a slice has fewer than 16 rows or columns, or the volume more voxels than `Limits.voxels`.
    """
    check_count(label, (slices, rows, columns))
    if min(rows, columns) < MIN_SIDE or slices < 1:
        problem = f"is too small: {slices} x {rows} x {columns} (slices x rows x columns)"
        raise ScanError(label, problem, f"Give images of at least {MIN_SIDE} x {MIN_SIDE} pixels")


def check_count(label: str, shape: tuple[int, ...]) -> None:
    """Refuse a volume of more voxels than `Limits.voxels`, before anything is allocated.

    Raises
    ------
    ScanError
        Naming the sides of the volume.
    """
    most = limits().voxels
    if math.prod(shape) > most:
        problem = f"claims {' x '.join(map(str, shape))} voxels, more than the limit of {most}"
        raise ScanError(label, problem, "Split it into smaller volumes, or check whether its header is damaged")


def check_finite(label: str, voxels: NDArray[np.float32]) -> None:
    """Refuse a volume, [slice, row, column], that holds NaN or infinity.

    Raises
    ------
    ScanError
        Naming the first slice that does.
    """
    for index, plane in enumerate(voxels):
        if not np.isfinite(plane).all():
            problem = f"holds values that are not numbers (NaN or infinity), first in slice {index}"
            raise ScanError(label, problem, "Export it again with every voxel set, air as -1024 HU")
