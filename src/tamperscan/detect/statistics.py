"""What is measured in a window: the strength of the predicted noise, by tissue.

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
COVARIATES = ("parenchyma share", "soft share", "density", "slope", "row", "column", "radius", "depth")


@dataclass(frozen=True, eq=False)
class WindowStatistics:
    """Measurements on the coarse grid of a slice.

    Attributes
    ----------
    energy
        float32 ``[tissue, row, column]``: log of the predicted noise's mean square, averaged over the noise levels; NaN
        where the tissue is missing.
    covariates
        float32 ``[covariate, row, column]``: anatomy that the energy depends on in authentic scans too.
    inside
        bool ``[row, column]``: the window's centre lies in the lung and something could be measured.
    """

    energy: NDArray[np.float32]
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
    """
    step = grid_step(spacing_mm)
    averager = _Averager(step, WINDOW_MM / (step * float(np.mean(spacing_mm))))
    squares = noise * noise
    energy = np.stack([_energy(averager, squares, getattr(classes, name), name) for name in TISSUES])
    inside = (averager.blocks(lung.astype(np.float32)) > 0.5) & np.isfinite(energy).any(axis=0)
    return WindowStatistics(energy, _covariates(averager, hu, lung, classes, spacing_mm), inside)


class _Averager:
    """Averages a map over blocks, then over a Gaussian window."""

    def __init__(self, step: int, window: float) -> None:
        self.step, self._window = step, window

    def blocks(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average over blocks; rows and columns that fill no block are left out."""
        return block_mean(values, self.step)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        averaged: NDArray[np.float32] = ndimage.gaussian_filter(
            self.blocks(values), self._window, mode="constant", truncate=2.5
        )
        return averaged


def _energy(
    averager: _Averager, squares: NDArray[np.float32], mask: NDArray[np.bool_], tissue: str
) -> NDArray[np.float32]:
    """Mean over the levels of the log mean square within one tissue."""
    share = averager(mask.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(averager(square * mask) / share) for square in squares]
    mean = np.mean(logs, axis=0, dtype=np.float32)
    measurable = (share >= LEAST_SHARE[tissue]) & np.isfinite(mean)
    return np.where(measurable, mean, np.float32(np.nan)).astype(np.float32)


def _covariates(
    averager: _Averager,
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
    coarse_lung: NDArray[np.bool_], averager: _Averager, spacing_mm: tuple[float, float]
) -> NDArray[np.float32]:
    """Distance from the lung's border, on the coarse grid."""
    cell_mm = [side * averager.step for side in spacing_mm]
    depth: NDArray[np.float32] = ndimage.distance_transform_edt(coarse_lung, sampling=cell_mm).astype(np.float32)
    return depth


def _centred_mm(
    averager: _Averager, lung: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distance from the middle of the lungs' bounding box: noise is stronger in the middle of the body."""
    rows, columns = np.nonzero(lung)
    middle = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2) if len(rows) else (0.0, 0.0)
    row, column = np.indices(lung.shape, dtype=np.float32)
    return (
        averager.blocks(np.asarray((row - middle[0]) * spacing_mm[0], dtype=np.float32)),
        averager.blocks(np.asarray((column - middle[1]) * spacing_mm[1], dtype=np.float32)),
    )
