"""Bring maps of the coarse grid to the pixels of a slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def enlarge(grid: NDArray[np.float32], step: int, region: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bring a coarse map to a slice's pixels, linear in between.

    Parameters
    ----------
    grid
        float32 ``[row, column]`` on the coarse grid; NaN where there is no value.
    step
        Pixels between places of the grid.
    region
        bool ``[row, column]`` of the slice: outside of it the map is 0.

    Returns
    -------
    float32 ``[row, column]`` of the slice.
    """
    known = np.isfinite(grid)
    # Cells without a value take that of the nearest one, or the region's border would fade to zero.
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = grid[tuple(nearest)]
    height, width = grid.shape[0] * step, grid.shape[1] * step
    large = np.zeros(region.shape, dtype=np.float32)
    rows = np.clip((np.arange(height) + 0.5) / step - 0.5, 0, grid.shape[0] - 1)
    columns = np.clip((np.arange(width) + 0.5) / step - 0.5, 0, grid.shape[1] - 1)
    large[:height, :width] = _bilinear(filled, rows, columns)
    return np.where(region, large, np.float32(0.0))


def _bilinear(
    grid: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate on a product of row and column positions."""
    by_row = _between(grid, rows)
    return _between(by_row.T, columns).T


def _between(values: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (positions - low).astype(np.float32)[:, None]
    result: NDArray[np.float32] = values[low] * (1 - share) + values[high] * share
    return result
