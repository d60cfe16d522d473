"""Voxels in the order of axes of another file of the same grid, and the file of a mask."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Mask
from tamperscan.scan.volume import Scan

_RAS_OF_LPS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_ADVICE: Final = "Make the forgery again, or take its folder away"


def scan_ras(scan: Scan) -> NDArray[np.float64]:
    """Return a scan's affine as NIfTI has it: float64 ``[4, 4]``, (slice, row, column, 1) to mm along RAS axes."""
    affine: NDArray[np.float64] = _RAS_OF_LPS @ scan.affine
    return affine


def turn(voxels: NDArray[Any], affine: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[Any]:
    """Give voxels the order and direction of axes that another affine has.

    Parameters
    ----------
    voxels
        Three axes.
    affine
        ``[4, 4]``: index in these voxels to mm.
    wanted
        ``[4, 4]``: index in the result to mm.

    Raises
    ------
    ValueError
        If the affines are not of the same grid.
    """
    axes = np.linalg.solve(wanted[:3, :3], affine[:3, :3])
    whole = np.rint(axes).astype(int)
    if not np.allclose(axes, whole, atol=0.01) or not np.array_equal(whole.T @ whole, np.eye(3)):
        raise ValueError("its voxels do not lie along the scan's axes")
    flipped = voxels[tuple(slice(None, None, int(sign)) for sign in whole.sum(axis=0))]
    return np.transpose(flipped, np.abs(whole).argmax(axis=1))


def mask_file(mask: Mask, scan: Scan, grid: NDArray[np.float64] | None = None) -> bytes:
    """Pack a mask as NIfTI, marked as a label map so that nobody takes it for a scan.

    Parameters
    ----------
    mask
        bool ``[slice, row, column]``.
    scan
        The scan that it belongs to.
    grid
        Affine ``[4, 4]`` to RAS of the voxels in the file; without it they are (column, row, slice).

    Returns
    -------
    bytes
        Of a ``.nii.gz`` of uint8, 1 where the mask is set.
    """
    here = scan_ras(scan)
    wanted = here[:, [2, 1, 0, 3]] if grid is None else grid
    labels = turn(mask, here, wanted).astype(np.uint8)
    image: Any = nibabel.Nifti1Image(labels, wanted)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    image.header.set_intent("label", name="tampered voxels")
    return gzip.compress(image.to_bytes(), mtime=0)


def read_mask(path: Path, scan: Scan) -> Mask:
    """Read the mask of a forged scan.

    Parameters
    ----------
    path
        NIfTI, as `mask_file` packs it.
    scan
        The forged scan.

    Returns
    -------
    bool ``[slice, row, column]``, on the scan's grid.

    Raises
    ------
    ForgeError
        If it can't be read, or does not fit the scan.
    """
    try:
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(path.read_bytes()))
        mask: Mask = turn(np.asarray(image.dataobj) != 0, np.asarray(image.affine), scan_ras(scan))
    except OSError as error:
        raise ForgeError(f"{path}: the mask can't be read ({error.strerror or error}). {_ADVICE}.") from error
    except Exception as error:  # nibabel raises whatever the bytes provoke
        raise ForgeError(f"{path}: is no mask of {scan.name} ({error}). {_ADVICE}.") from error
    if mask.shape != scan.shape:
        sides = (" x ".join(map(str, shape)) for shape in (mask.shape, scan.shape))
        raise ForgeError(f"{path}: the mask has {next(sides)} voxels and its scan {next(sides)}. {_ADVICE}.")
    return mask
