"""Reading the scan of a case, also in the forms in which data sets publish single images: PNG, and folders of TIFF."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tamperscan.bench.cases import Case
from tamperscan.bench.places import Mask
from tamperscan.errors import ScanError
from tamperscan.forge.grid import read_mask
from tamperscan.scan import Scan, read_scan
from tamperscan.scan.names import safe_name
from tamperscan.scan.volume import pixel_sha256

SLIDES: Final = "slide*.tiff"
"""Names of the slices in M3Dsynth's folders."""

NO_SPACING: Final = "An image file holds no voxel spacing; 1 mm was assumed along every axis."

# What M3Dsynth may have added to HU: the usual intercept of 1024, and what its code adds to values that have a sign,
# which goes by the padding (0, 512, 1024 or 2000; see the function scan_to_uint16 of the official repository).
_OFFSETS: Final = (512, 1024, 1536, 2048, 3024)
_AIR_HU: Final = -1000
# How far from there the commonest value of air may lie.
_AIR_WITHIN: Final = 40
_TISSUE_PERCENT: Final = 90
_TISSUE_ABOVE_AIR: Final = 600
_BIN: Final = 16

_ADVICE: Final = "Download the data set again"


def open_scan(case: Case) -> Scan:
    """Read a case's scan: anything that `read_scan` takes, a PNG image, or a folder of TIFF slices.

    Its modality is the case's, and so is its spacing where the case tells one.

    Raises
    ------
    ScanError
        If it can't be read.
    """
    if case.scan.suffix.lower() == ".png":
        scan = _read_png(case.scan)
    elif tiff_slices(case.scan):
        scan = _read_tiffs(case.scan)
    else:
        scan = read_scan(case.scan)
    return replace(scan, modality=case.modality, spacing_mm=case.spacing_mm or scan.spacing_mm)


def open_mask(path: Path, scan: Scan) -> Mask:
    """Read which voxels of a scan were tampered with.

    Parameters
    ----------
    path
        NIfTI as `tamperscan forge` writes it, or a folder of TIFF slices.
    scan
        The tampered scan.

    Returns
    -------
    bool ``[slice, row, column]``, on the scan's grid.

    Raises
    ------
    ScanError, ForgeError
        If the mask can't be read, or does not fit the scan.
    """
    slices = tiff_slices(path)
    if not slices:
        return read_mask(path, scan)
    mask = _stack(slices) > 0
    if mask.shape != scan.shape:
        raise ScanError(path, f"is of {mask.shape} voxels, and the scan of {scan.shape}", _ADVICE)
    return mask


def tiff_slices(path: Path) -> list[Path]:
    """List the TIFF slices of a folder in their order; empty where there are none, or the path is no folder."""
    return sorted(path.glob(SLIDES)) if path.is_dir() else []


def image_size(path: Path) -> tuple[int, int]:
    """Return (rows, columns) of an image file, by its header.

    Raises
    ------
    ScanError
        If it is no image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path) as image:
                return image.height, image.width
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ScanError(path, f"is no image that can be read ({error})", _ADVICE) from error


def _read_png(path: Path) -> Scan:
    return _scan(_pixels(path, "L")[None].astype(np.float32), path.stem, "MR", [path], (NO_SPACING,))


def _read_tiffs(folder: Path) -> Scan:
    slices = tiff_slices(folder)
    stored = _stack(slices)
    offset = _offset(folder, stored)
    told = f"The images are HU plus a number that their files do not tell; {offset} was found by the air."
    name = f"{folder.parent.parent.name}_{folder.name}"
    return _scan(stored.astype(np.float32) - offset, name, "CT", slices, (NO_SPACING, told))


def _scan(voxels: NDArray[np.float32], name: str, modality: str, files: Sequence[Path], notes: tuple[str, ...]) -> Scan:
    return Scan(
        voxels=voxels,
        spacing_mm=(1.0, 1.0, 1.0),
        modality=modality,
        name=safe_name(name),
        warnings=notes,
        affine=np.eye(4)[:, [2, 1, 0, 3]],
        sha256=pixel_sha256(voxels),
        sources=tuple(str(file) for file in files),
    )


def _stack(slices: Sequence[Path]) -> NDArray[np.int32]:
    images = [_pixels(path) for path in slices]
    if len({image.shape for image in images}) != 1:
        raise ScanError(slices[0].parent, "holds slices of different sizes", _ADVICE)
    return np.stack(images)


def _pixels(path: Path, mode: str | None = None) -> NDArray[np.int32]:
    rows, columns = image_size(path)
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image if mode is None else image.convert(mode), dtype=np.int32)
    except (OSError, ValueError) as error:
        raise ScanError(path, f"is damaged ({error})", _ADVICE) from error
    if pixels.shape != (rows, columns):
        raise ScanError(path, "is an image of several channels", _ADVICE)
    return pixels


def _offset(folder: Path, stored: NDArray[np.int32]) -> int:
    """Find what was added to HU: the offset that brings the commonest dark value nearest to that of air.

    The lowest value of all is left out; it is padding as often as not.
    """
    sample = stored[:: max(1, len(stored) // 8)]
    sample = sample[sample > sample.min()]
    tissue = float(np.percentile(sample, _TISSUE_PERCENT)) if sample.size else 0.0
    dark = sample[sample < tissue - _TISSUE_ABOVE_AIR]
    air = (int(np.bincount(dark // _BIN).argmax()) + 0.5) * _BIN if dark.size else 0.0
    offset = min(_OFFSETS, key=lambda each: abs(air - each - _AIR_HU))
    if abs(air - offset - _AIR_HU) > _AIR_WITHIN:
        raise ScanError(folder, "does not show by its air how its values are HU", "Leave it out")
    return offset
