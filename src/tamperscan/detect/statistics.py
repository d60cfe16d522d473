"""What is measured in a window: the predicted noise, by tissue and noise level.

All maps are first averaged over small blocks and then over Gaussian windows on the coarse grid, so the cost of a window
does not depend on its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.regions import Tissues

# The coarse grid on which windows are placed.
GRID_MM = 3.0
# Standard deviation of a window: as wide as a square of 28 mm, a little under the size that tampering replaces.
WINDOW_MM = 8.0
# A tissue class says something of a window only if it makes up at least this part of it.
LEAST_SHARE = {"parenchyma": 0.15, "soft": 0.02, "between": 0.05}
COVARIATES = ("parenchyma share", "soft share", "density", "slope", "row", "column", "radius", "depth")


@dataclass(frozen=True, eq=False)
class WindowStatistics:
    """Measurements on the coarse grid of one slice.

    Attributes
    ----------
    values
        float32 ``[feature, row, column]``, NaN where the tissue of the feature is missing.
    covariates
        float32 ``[covariate, row, column]``: anatomy that the values depend on in authentic scans too.
    inside
        bool ``[row, column]``: the window's centre lies in the lung and something could be measured.
    step
        Pixels of the slice a grid step.
    origin
        (row, column) of the slice at which the grid begins.
    """

    values: NDArray[np.float32]
    covariates: NDArray[np.float32]
    inside: NDArray[np.bool_]
    step: int
    origin: tuple[int, int]


def feature_names(levels_hu: Sequence[float]) -> tuple[str, ...]:
    """Name the features that `window_statistics` gives, in order; see there."""
    energies = [f"{tissue} noise at {level:g} HU" for tissue in LEAST_SHARE for level in levels_hu]
    return (*energies, *(f"parenchyma grain at {level:g} HU" for level in levels_hu))


def window_statistics(
    hu: NDArray[np.float32],
    noise: NDArray[np.float32],
    lung: NDArray[np.bool_],
    classes: Tissues,
    spacing_mm: tuple[float, float],
    origin: tuple[int, int] = (0, 0),
) -> WindowStatistics:
    """Measure one slice.

    The features are, for each tissue and noise level, the log of the predicted noise's mean square in the window, and
    for the parenchyma its lag-1 autocorrelation ("grain") at each level.

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
    origin
        Where this cut-out lies in the slice; passed on.
    """
    step = max(1, round(GRID_MM / float(np.mean(spacing_mm))))
    window = WINDOW_MM / (step * float(np.mean(spacing_mm)))
    averager = _Averager(step, window)
    masks = {"parenchyma": classes.parenchyma, "soft": classes.soft, "between": classes.between}
    squares = noise * noise
    values = []
    for name, mask in masks.items():
        share = averager(mask.astype(np.float32))
        values += [_log_mean(averager, square * mask, share, LEAST_SHARE[name]) for square in squares]
    values += [_grain(averager, plane, square, classes.parenchyma) for plane, square in zip(noise, squares, strict=True)]
    features = np.stack(values)
    centre = averager.blocks(lung.astype(np.float32)) > 0.5
    inside = centre & np.isfinite(features).any(axis=0)
    covariates = _covariates(averager, hu, lung, classes, spacing_mm)
    return WindowStatistics(features, covariates, inside, step, origin)


class _Averager:
    """Averages a map over blocks, then over a Gaussian window."""

    def __init__(self, step: int, window: float) -> None:
        self._step, self._window = step, window

    def blocks(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Average over blocks of step x step pixels; rows and columns that fill no block are left out."""
        rows, columns = (side // self._step for side in values.shape)
        cut = values[: rows * self._step, : columns * self._step]
        return cut.reshape(rows, self._step, columns, self._step).mean(axis=(1, 3), dtype=np.float32)

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        averaged: NDArray[np.float32] = ndimage.gaussian_filter(
            self.blocks(values), self._window, mode="constant", truncate=2.5
        )
        return averaged


def _log_mean(
    averager: _Averager, masked: NDArray[np.float32], share: NDArray[np.float32], least: float
) -> NDArray[np.float32]:
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = averager(masked) / share
        result: NDArray[np.float32] = np.where((share >= least) & (mean > 0), np.log(mean), np.nan).astype(np.float32)
    return result


def _grain(
    averager: _Averager, noise: NDArray[np.float32], square: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Lag-1 autocorrelation along rows and columns, between neighbours that both lie in the mask."""
    product, weight = np.zeros_like(noise), np.zeros_like(noise)
    for here, there in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = mask[here] & mask[there]
        product[here] += noise[here] * noise[there] * both
        weight[here] += 0.5 * (square[here] + square[there]) * both
    share = averager(mask.astype(np.float32))
    with np.errstate(divide="ignore", invalid="ignore"):
        grain = averager(product) / averager(weight)
    return np.where(share >= LEAST_SHARE["parenchyma"], grain, np.nan).astype(np.float32)


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
    depth = averager.blocks(ndimage.distance_transform_edt(lung, sampling=spacing_mm).astype(np.float32))
    row, column = _centred_mm(averager, lung, spacing_mm)
    radius = np.hypot(row, column)
    planes = (parenchyma, soft, density / 1000.0, slope / 100.0, row / 100.0, column / 100.0, radius / 100.0, depth / 50.0)
    return np.stack(planes).astype(np.float32)


def _centred_mm(
    averager: _Averager, lung: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distance from the middle of the lungs' bounding box: noise is stronger in the middle of the body."""
    rows, columns = np.nonzero(lung)
    middle = ((rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2) if len(rows) else (0.0, 0.0)
    row, column = np.indices(lung.shape, dtype=np.float32)
    return (
        averager.blocks((row - middle[0]) * np.float32(spacing_mm[0])),
        averager.blocks((column - middle[1]) * np.float32(spacing_mm[1])),
    )
