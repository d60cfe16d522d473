"""NumPy files: ``.npy`` with Hounsfield units, [slice, row, column] or [row, column]; pickles are refused."""

from __future__ import annotations

import math
import warnings
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ScanError
from tamperscan.scan import watch
from tamperscan.scan.assemble import value_notes
from tamperscan.scan.checks import check_count, check_finite, check_size
from tamperscan.scan.sources import Source, unreadable
from tamperscan.scan.volume import Scan, pixel_sha256

_MAGIC: Final = b"\x93NUMPY"
_ADVICE: Final = "Save a float or integer array [slice, row, column] of Hounsfield units with numpy.save"


def is_numpy(source: Source) -> bool:
    """Whether a file is NumPy's, by its name or its first bytes."""
    if source.suffix == ".npy":
        return True
    with source.open() as stream:
        return stream.read(len(_MAGIC)) == _MAGIC


def read_numpy(source: Source, name: str) -> Scan:
    """Read one volume or slice.

    Parameters
    ----------
    source
        The file.
    name
        The scan's name.

    Returns
    -------
    Scan
        CT if any value is negative, else MR; the spacing is (1, 1, 1) mm, since the file holds none.

    Raises
    ------
    ScanError
        If the file is damaged, is no array of two or three axes, or holds objects, complex values, NaN or
        infinity.
    """
    watch.reading(source.label, watch.PIXELS)
    stored = _load(source)
    voxels = np.ascontiguousarray(stored.reshape((1, *stored.shape)[-3:]), np.float32)
    check_size(source.label, *voxels.shape)
    check_finite(source.label, voxels)
    modality = "CT" if float(voxels.min()) < 0 else "MR"
    return Scan(
        voxels=voxels,
        spacing_mm=(1.0, 1.0, 1.0),
        modality=modality,
        name=name,
        warnings=(
            "A NumPy file holds no voxel spacing; 1 mm was assumed along every axis.",
            f"A NumPy file does not tell the modality; {modality} was guessed from the values.",
            *value_notes(voxels, modality),
        ),
        affine=np.eye(4)[:, [2, 1, 0, 3]],
        sha256=pixel_sha256(voxels),
        sources=(source.label,),
    )


def _load(source: Source) -> NDArray[Any]:
    """Read the array as stored, two- or three-dimensional."""
    try:
        with source.open() as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _check_header(source.label, stream)
            stream.seek(0)
            array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return array
    except (ScanError, MemoryError):
        raise
    except OSError as error:
        raise unreadable(source.label, error) from error
    except Exception as error:  # a damaged header raises whatever its bytes provoke
        raise ScanError(source.label, "is not a NumPy file that can be read, or is cut short", _ADVICE) from error


def _check_header(label: str, stream: BinaryIO) -> None:
    """Refuse by the header alone what is no scan."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(stream)
    if kind.kind not in "iuf":
        raise ScanError(label, f"holds values of type {kind} instead of intensities", _ADVICE)
    if len(shape) not in (2, 3):
        raise ScanError(label, f"has {len(shape)} axes instead of two or three", _ADVICE)
    check_count(label, shape)
    here = stream.tell()
    if stream.seek(0, 2) - here < math.prod(shape) * kind.itemsize:
        raise ScanError(label, "is cut short", "Copy or save the file again")
