"""Bring maps of the coarse grid to the pixels of a slice."""

from __future__ import annotations

from functools import lru_cache

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
    large = np.zeros(region.shape, dtype=np.float32)
    # A cell beyond those that hold the region is all that is interpolated with.
    cells = [_cells(np.asarray(region.any(axis=1 - axis)), step, grid.shape[axis]) for axis in (0, 1)]
    if not all(cell.stop > cell.start for cell in cells):
        return large
    pixels = down, right = tuple(slice(cell.start * step, cell.stop * step) for cell in cells)
    part = grid[cells[0], cells[1]]
    # Cells without a value take that of the nearest one, or the region's border would fade to zero.
    nearest = ndimage.distance_transform_edt(~np.isfinite(part), return_distances=False, return_indices=True)
    by_row, by_column = (_between(side, step) for side in part.shape)
    large[down, right] = (by_row @ part[tuple(nearest)] @ by_column.T) * region[pixels]
    return large


def _cells(line: NDArray[np.bool_], step: int, count: int) -> slice:
    """Return the cells along one axis that hold a region, and one more on each side."""
    occupied = np.flatnonzero(line[: count * step])
    if not occupied.size:
        return slice(0, 0)
    return slice(max(0, int(occupied[0]) // step - 1), min(count, int(occupied[-1]) // step + 2))


@lru_cache(maxsize=256)
def _between(count: int, step: int) -> NDArray[np.float32]:
    """Return linear interpolation from cells to pixels along one axis as a matrix ``[pixel, cell]``."""
    positions = np.clip((np.arange(count * step) + 0.5) / step - 0.5, 0, count - 1)
    return np.maximum(0.0, 1.0 - np.abs(positions[:, None] - np.arange(count))).astype(np.float32)
