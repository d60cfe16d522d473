"""What is measured in a window: the strength and the whiteness of the predicted noise, by tissue.

All maps are first averaged over small blocks and then over Gaussian windows on the coarse grid, so the cost of a window
does not depend on its size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.blocks import block_mean
from tamperscan.detect.regions import TISSUES, Tissues

# The coarse grid on which windows are placed.
GRID_MM = 3.0
# Standard deviation of a window: as wide as a square of 28 mm, a little under the size that tampering replaces.
WINDOW_MM = 8.0
# A tissue class says something of a window only if it makes up at least this part of it.
LEAST_SHARE = {"parenchyma": 0.15, "between": 0.05, "soft": 0.02}
# Neighbours are compared if there are at least so many pairs of them a pixel; there can be two.
_LEAST_PAIRS = 0.02
COVARIATES = ("parenchyma share", "soft share", "density", "slope", "row", "column", "radius", "depth")


@dataclass(frozen=True, eq=False)
class WindowStatistics:
    """Measurements on the coarse grid of a slice.

    Attributes
    ----------
    energy
        float32 ``[tissue, row, column]``: log of the predicted noise's mean square, averaged over the noise levels; NaN
        where the tissue is missing.
    whiteness
        float32 ``[tissue, row, column]``: one less the correlation of the predicted noise between neighbouring pixels
        of the tissue, over all levels; 1 for white noise, NaN where the tissue is missing.
    covariates
        float32 ``[covariate, row, column]``: anatomy that both depend on in authentic scans too.
    inside
        bool ``[row, column]``: the window's centre lies in the lung and something could be measured.
    """

    energy: NDArray[np.float32]
    whiteness: NDArray[np.float32]
    covariates: NDArray[np.float32]
    inside: NDArray[np.bool_]


def grid_step(spacing_mm: tuple[float, float]) -> int:
    """Return the number of pixels between windows."""
    return max(1, round(GRID_MM / float(np.mean(spacing_mm))))


def window_statistics(
    hu: NDArray[np.float32],
    noise: NDArray[np.float32],
    lung: NDArray[np.bool_],
    classes: Tissues,
    spacing_mm: tuple[float, float],
    *,
    window_mm: float = WINDOW_MM,
) -> WindowStatistics:
    """Measure one slice, or a part of it.

    Parameters
    ----------
    hu
        float32 ``[row, column]`` in HU.
    noise
        float32 ``[level, row, column]``: predicted noise, standardised.
    lung
        bool ``[row, column]``.
    classes
        The lung's tissues.
    spacing_mm
        Distance between (rows, columns) in mm.
    window_mm
        Standard deviation of the windows in mm.
    """
    averager = WindowAverager(spacing_mm, window_mm)
    squares, products = noise * noise, _neighbour_products(noise)
    measured = [_by_tissue(averager, squares, products, getattr(classes, name), name) for name in TISSUES]
    energy, whiteness = (np.stack(maps) for maps in zip(*measured, strict=True))
    inside = (averager.blocks(lung.astype(np.float32)) > 0.5) & np.isfinite(energy).any(axis=0)
    return WindowStatistics(energy, whiteness, _covariates(averager, hu, lung, classes, spacing_mm), inside)


class WindowAverager:
    """Averages a map over blocks, then over a Gaussian window.

    Parameters
    ----------
    spacing_mm
        Distance between (rows, columns) in mm.
    window_mm
        Standard deviation of the window in mm.
    """

    def __init__(self, spacing_mm: tuple[float, float], window_mm: float) -> None:
        self.step = grid_step(spacing_mm)
        self._window = window_mm / (self.step * float(np.mean(spacing_mm)))
        self._matrices: dict[int, NDArray[np.float32]] = {}

    def blocks(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average over blocks; rows and columns that fill no block are left out."""
        return block_mean(values, self.step)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average over windows, on the coarse grid; what lies outside counts zero."""
        blocks = self.blocks(values)
        down, right = (self._along(side) for side in blocks.shape)
        return np.asarray(down @ blocks @ right, dtype=np.float32)

    def _along(self, side: int) -> NDArray[np.float32]:
        """Return the window as a matrix: on so coarse a grid a product takes less than a filter does."""
        if side not in self._matrices:
            identity = np.eye(side)
            window = ndimage.gaussian_filter1d(identity, self._window, axis=0, mode="constant", truncate=2.5)
            self._matrices[side] = np.asarray(window, dtype=np.float32)
        return self._matrices[side]


def _by_tissue(
    averager: WindowAverager,
    squares: NDArray[np.float32],
    products: tuple[NDArray[np.float32], NDArray[np.float32]],
    mask: NDArray[np.bool_],
    tissue: str,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean over the levels of the log mean square within one tissue, and the whiteness there."""
    share = averager(mask.astype(np.float32))
    sums, pairs = _neighbours(averager, products, mask)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.stack([averager(square * mask) / share for square in squares])
        energy = np.log(means).mean(axis=0)
        whiteness = 1.0 - sums / pairs / means.sum(axis=0)
    measurable = (share >= LEAST_SHARE[tissue]) & np.isfinite(energy)
    comparable = measurable & (pairs >= _LEAST_PAIRS * share)
    missing = np.float32(np.nan)
    return (
        np.where(measurable, energy, missing).astype(np.float32),
        np.where(comparable, whiteness, missing).astype(np.float32),
    )


def _neighbour_products(noise: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each pixel's noise times that of the pixel to the right of it and below it, summed over the levels."""
    right = (noise[:, :, 1:] * noise[:, :, :-1]).sum(axis=0)
    below = (noise[:, 1:] * noise[:, :-1]).sum(axis=0)
    return right, below


def _neighbours(
    averager: WindowAverager, products: tuple[NDArray[np.float32], NDArray[np.float32]], mask: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Average the products over the pairs that lie in one tissue, and those pairs, for each pixel."""
    right, below = mask[:, 1:] & mask[:, :-1], mask[1:] & mask[:-1]
    sums, pairs = np.zeros(mask.shape, dtype=np.float32), np.zeros(mask.shape, dtype=np.float32)
    sums[:, :-1] += products[0] * right
    sums[:-1] += products[1] * below
    pairs[:, :-1] += right
    pairs[:-1] += below
    return averager(sums), averager(pairs)


def _covariates(
    averager: WindowAverager,
    hu: NDArray[np.float32],
    lung: NDArray[np.bool_],
    classes: Tissues,
    spacing_mm: tuple[float, float],
) -> NDArray[np.float32]:
    parenchyma = averager(classes.parenchyma.astype(np.float32))
    soft = averager(classes.soft.astype(np.float32))
    clipped = np.clip(hu, -1050.0, 300.0)
    density = averager(clipped * lung) / np.maximum(averager(lung.astype(np.float32)), 1e-3)
    slope = averager(ndimage.gaussian_gradient_magnitude(clipped, 2.0) * lung)
    depth = _depth_mm(averager.blocks(lung.astype(np.float32)) > 0.5, averager, spacing_mm)
    row, column = _centred_mm(averager, lung, spacing_mm)
    radius = np.hypot(row, column)
    # Brought to the order of one, so that the regressions on them are well conditioned.
    planes = (
        parenchyma,
        soft,
        density / 1000,
        slope / 100,
        row / 100,
        column / 100,
        radius / 100,
        depth / 50,
    )
    return np.stack(planes).astype(np.float32)


def _depth_mm(
    coarse_lung: NDArray[np.bool_], averager: WindowAverager, spacing_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Distance from the lung's border, on the coarse grid."""
    cell_mm = [side * averager.step for side in spacing_mm]
    depth: NDArray[np.float32] = ndimage.distance_transform_edt(coarse_lung, sampling=cell_mm).astype(np.float32)
    return depth


def _centred_mm(
    averager: WindowAverager, lung: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distance from the middle of the lungs' bounding box: noise is stronger in the middle of the body."""
    rows, columns = np.nonzero(lung)
    middle = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2) if len(rows) else (0.0, 0.0)
    down, right = (
        (np.arange(side // averager.step) * averager.step + (averager.step - 1) / 2 - centre) * pixel_mm
        for side, centre, pixel_mm in zip(lung.shape, middle, spacing_mm, strict=True)
    )
    row, column = np.meshgrid(down.astype(np.float32), right.astype(np.float32), indexing="ij")
    return row, column
