"""In which order of axes NIfTI files hold a scan's voxels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.scan.volume import Scan

_RAS_OF_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_SUFFIXES: Final = (".nii", ".nii.gz")


@dataclass(frozen=True, eq=False)
class Grid:
    """The order and direction of a file's axes.

    Attributes
    ----------
    affine
        float64 ``[4, 4]``: index in the file's voxels to mm along RAS axes.
    shape
        Sides of the file's voxels.
    order
        Which of the scan's axes (slice, row, column) each of the file's axes is.
    flips
        For each of the scan's axes, -1 where the file runs the other way, else 1.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    order: tuple[int, int, int] = (2, 1, 0)
    flips: tuple[int, int, int] = (1, 1, 1)

    def packed(self, planes: Iterable[NDArray[Any]], scan: Scan) -> Iterator[bytes]:
        """Give a file's bytes piece by piece, from a scan's slices ``[row, column]``."""
        if self.order == (2, 1, 0) and self.flips == (1, 1, 1):
            yield from (np.ascontiguousarray(plane).tobytes() for plane in planes)
            return
        first, *others = planes
        whole = np.empty(scan.shape, first.dtype)
        for index, plane in enumerate([first, *others]):
            whole[index] = plane
        turned = np.transpose(whole[tuple(slice(None, None, flip) for flip in self.flips)], self.order)
        for index in range(turned.shape[2]):
            yield turned[:, :, index].tobytes(order="F")


def ras_affine(scan: Scan) -> NDArray[np.float64]:
    """Return the affine of voxels in the order (column, row, slice): float64 ``[4, 4]``, to mm along RAS axes."""
    affine: NDArray[np.float64] = (_RAS_OF_LPS @ scan.affine)[:, [2, 1, 0, 3]]
    return affine


def plain_grid(scan: Scan) -> Grid:
    """Return the grid of (column, row, slice), as a DICOM series becomes NIfTI elsewhere."""
    slices, rows, columns = scan.shape
    return Grid(ras_affine(scan), (columns, rows, slices))


def grid_of(scan: Scan) -> Grid:
    """Choose the grid of a scan's NIfTI files.

    That of the file where the scan was read from a NIfTI file that is still there, so that the maps fit it voxel by
    voxel; (column, row, slice) for any other scan.
    """
    plain = plain_grid(scan)
    if len(scan.sources) != 1 or not scan.sources[0].lower().endswith(_SUFFIXES) or not Path(scan.sources[0]).is_file():
        return plain
    import nibabel

    try:
        image: Any = nibabel.load(scan.sources[0])
        return _turned(scan, np.asarray(image.affine, np.float64), (*image.shape, 1, 1, 1)[:3]) or plain
    except Exception:  # nibabel raises whatever the bytes provoke; the plain grid is as right
        return plain


def _turned(scan: Scan, wanted: NDArray[np.float64], shape: tuple[int, int, int]) -> Grid | None:
    """Find how the scan's axes run in a file; None if the file is not of the scan's grid."""
    own = _RAS_OF_LPS @ scan.affine
    axes = np.linalg.solve(wanted[:3, :3], own[:3, :3])
    whole = np.rint(axes).astype(int)
    if not np.allclose(axes, whole, atol=0.01) or not np.array_equal(whole.T @ whole, np.eye(3)):
        return None
    order = tuple(int(axis) for axis in np.abs(whole).argmax(axis=1))
    flips = tuple(int(sign) for sign in whole.sum(axis=0))
    if tuple(scan.shape[axis] for axis in order) != shape:
        return None
    return Grid(wanted, shape, (order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))
