"""Scans as contenders get to see them: in bench units, with the region that is looked at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.places import Mask, Spacing
from tamperscan.detect.regions import lung_mask
from tamperscan.scan import Scan

MR_TOP = 1000.0
"""Where the 99.9th percentile of an MR scan comes to lie; its signal has no unit of its own."""
MR_TOP_PERCENT = 99.9
# The body as in detect/crops.py: where the signal is a tenth of the slice's brightest hundredth and more.
_BODY_SHARE = 0.1
_BODY_PERCENT = 99.0

Voxels = NDArray[np.float32]


def bench_units(scan: Scan) -> Voxels:
    """Return float32 ``[slice, row, column]``: HU for CT; for MR the signal with its 99.9th percentile at 1000."""
    if scan.modality == "CT":
        return scan.voxels
    scale = MR_TOP / max(float(np.percentile(scan.voxels, MR_TOP_PERCENT)), 1e-6)
    return (scan.voxels * np.float32(scale)).astype(np.float32)


def region_of(image: Voxels, spacing_mm: Spacing, modality: str) -> Mask:
    """Find where a slice is looked at: the lungs of a CT, the body of an MR.

    Parameters
    ----------
    image
        float32 ``[row, column]`` in bench units.
    spacing_mm
        Distance between (rows, columns) in mm.
    modality
        ``"CT"`` or ``"MR"``.

    Returns
    -------
    bool ``[row, column]``; all False where there is nothing to look at.
    """
    if modality == "CT":
        return lung_mask(image, spacing_mm)
    body: Mask = ndimage.binary_fill_holes(image > _BODY_SHARE * float(np.percentile(image, _BODY_PERCENT)))
    return np.asarray(ndimage.binary_opening(body, iterations=2), dtype=bool)
