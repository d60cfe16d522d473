"""Evidence of neighbouring slices put together: tampering reaches over many slices, chance over one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Published attacks replace a cube of 32 mm; a window of this standard deviation lies well within it.
POOLING_MM = 5.0
_REACH = 2.5


def pool_slices(suspicion: NDArray[np.float32], slice_mm: float) -> NDArray[np.float32]:
    """Average evidence over a Gaussian window along the slices, among the places that have any.

    Parameters
    ----------
    suspicion
        float32 ``[slice, row, column]``; NaN where nothing was measured, which stays so.
    slice_mm
        Distance between slices in mm.

    Returns
    -------
    float32 of the same shape; a single slice comes back as it is.
    """
    reach = min(int(_REACH * POOLING_MM / slice_mm), len(suspicion) - 1)
    if reach == 0:
        return suspicion
    offsets = np.arange(-reach, reach + 1) * slice_mm
    window = np.exp(-0.5 * (offsets / POOLING_MM) ** 2).astype(np.float32)
    known = np.isfinite(suspicion)
    total = ndimage.convolve1d(np.where(known, suspicion, np.float32(0.0)), window, axis=0, mode="constant")
    weight = ndimage.convolve1d(known.astype(np.float32), window, axis=0, mode="constant")
    return np.where(known, total / np.maximum(weight, window.min()), np.float32(np.nan)).astype(np.float32)
