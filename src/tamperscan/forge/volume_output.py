"""Writing a forged scan that came from one volume file: NIfTI with its header as it was, or NumPy."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any, Final

import nibabel
import numpy as np
from numpy.typing import NDArray

from tamperscan.files import write_file
from tamperscan.forge.forgery import Forgery, Record
from tamperscan.forge.grid import scan_ras, turn
from tamperscan.forge.site import Mask
from tamperscan.scan.forged import REMARK
from tamperscan.scan.nifti import nifti_content
from tamperscan.scan.sources import Source

NIFTI_FILE: Final = "forged.nii.gz"
NUMPY_FILE: Final = "forged.npy"

_LONGEST_DESCRIPTION: Final = 79


def write_nifti(forgery: Forgery, source: Source, folder: Path) -> tuple[Mask, NDArray[np.float64]]:
    """Write the authentic file with the altered voxels in it, and the remark as its description.

    Parameters
    ----------
    forgery
        A forgery of a NIfTI scan.
    source
        The authentic file.
    folder
        Where ``forged.nii.gz`` goes; it must exist.

    Returns
    -------
    mask
        bool ``[slice, row, column]``: the voxels whose stored value differs.
    grid
        The file's affine, float64 ``[4, 4]``.

    Raises
    ------
    ScanError
        If the authentic file can't be read any more.
    OutputError
        If the file can't be written.
    """
    content = nifti_content(source)
    kind: Any = nibabel.Nifti2Image if content[4:8] == b"n+2\0" else nibabel.Nifti1Image
    image = kind.from_bytes(content)
    grid, here = np.asarray(image.affine, np.float64), scan_ras(forgery.scan)
    old = np.asarray(image.dataobj.get_unscaled())
    sides = (*old.shape, 1, 1, 1)[:3]
    values, mask = (turn(part, here, grid).reshape(old.shape) for part in (forgery.scan.voxels, forgery.mask))
    values = (values - np.float64(image.dataobj.inter)) / np.float64(image.dataobj.slope)
    new = _put(old, values, mask)
    header = kind.header_class.from_fileobj(io.BytesIO(content))  # the image's own has forgotten offset and scale
    header["descrip"] = _description(forgery.record).encode()
    start = int(header.get_data_offset())
    block = header.binaryblock
    written = block + content[len(block) : start] + new.tobytes(order="F")
    write_file(folder / NIFTI_FILE, gzip.compress(written, compresslevel=6, mtime=0))
    return turn((new != old).reshape(sides), grid, here), grid


def write_numpy(forgery: Forgery, source: Source, folder: Path) -> Mask:
    """Write the authentic array with the altered voxels in it.

    Parameters
    ----------
    forgery
        A forgery of a NumPy scan.
    source
        The authentic file.
    folder
        Where ``forged.npy`` goes; it must exist.

    Returns
    -------
    bool ``[slice, row, column]``: the voxels whose stored value differs.

    Raises
    ------
    OutputError
        If the file can't be written.
    """
    with source.open() as stream:
        old: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    new = _put(old, forgery.scan.voxels.reshape(old.shape), forgery.mask.reshape(old.shape))
    buffer = io.BytesIO()
    np.save(buffer, new, allow_pickle=False)
    write_file(folder / NUMPY_FILE, buffer.getvalue())
    changed: Mask = (new != old).reshape(forgery.scan.shape)
    return changed


def _put(old: NDArray[Any], values: NDArray[Any], mask: Mask) -> NDArray[Any]:
    """Put values into stored ones of the same shape where the mask is set, as near as their type can hold them."""
    new = old.copy(order="K")
    if old.dtype.kind in "iu":
        limits = np.iinfo(old.dtype)
        new[mask] = np.clip(np.rint(values[mask]), limits.min, limits.max).astype(old.dtype)
    else:
        new[mask] = values[mask].astype(old.dtype)
    return new


def _description(record: Record) -> str:
    return f"{REMARK}: {record.action}, {record.method}, seed {record.seed}"[:_LONGEST_DESCRIPTION]
