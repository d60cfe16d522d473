"""One slice from HU to window statistics: find the lung, predict the noise there, measure it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.regions import lung_mask, tissues
from tamperscan.detect.statistics import WindowStatistics, grid_step, window_statistics
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Card
from tamperscan.errors import WeightsError
from tamperscan.scan.windows import IntensityWindow

# Less lung than this in a slice (an apex, a sliver above the liver) has no "rest" to compare a place with.
LEAST_LUNG_CM2 = 15.0
# The network sees 51 pixels around; beyond 40 nothing changes an energy by more than 0.001.
_MARGIN_PX = 40


@dataclass(frozen=True, eq=False)
class SliceMeasurement:
    """What was measured in one slice.

    Attributes
    ----------
    statistics
        On the coarse grid of the whole slice.
    lung
        bool ``[row, column]`` of the slice.
    """

    statistics: WindowStatistics
    lung: NDArray[np.bool_]


class SliceMeter:
    """Measures slices with one noise predictor.

    Parameters
    ----------
    predictor
        Predicts the noise.
    card
        Its window and levels.
    """

    def __init__(self, predictor: NoisePredictor, card: Card) -> None:
        if card.window is None or not card.levels_hu:
            raise WeightsError(f"{card.name}: screening needs weights with a window and noise levels in HU.")
        self._predictor = predictor
        self._window = IntensityWindow(*card.window)
        levels = np.array(card.levels_hu, dtype=np.float32)
        self._levels = levels / np.float32(self._window.units_per_model_unit)

    def measure(self, hu: NDArray[np.float32], spacing_mm: tuple[float, float]) -> SliceMeasurement | None:
        """Measure one slice.

        Parameters
        ----------
        hu
            float32 ``[row, column]`` in HU.
        spacing_mm
            Distance between (rows, columns) in mm.

        Returns
        -------
        SliceMeasurement or None
            None where the slice holds too little lung, or nothing in it can be measured.
        """
        lung = lung_mask(hu, spacing_mm)
        if lung.sum() * spacing_mm[0] * spacing_mm[1] < LEAST_LUNG_CM2 * 100.0:
            return None
        step = grid_step(spacing_mm)
        # Aligned to the network's stride as well as to the grid: a part then gives what the whole slice gives.
        box = _bounding_box(lung, math.lcm(step, self._predictor.stride))
        part, part_lung = hu[box], lung[box]
        noise = self._predictor.predict(self._window.to_model(part), self._levels)
        statistics = window_statistics(part, noise, part_lung, tissues(part, part_lung), spacing_mm)
        if not statistics.inside.any():
            return None
        return SliceMeasurement(_on_whole_grid(statistics, box, hu.shape, step), lung)


def _bounding_box(mask: NDArray[np.bool_], align: int) -> tuple[slice, slice]:
    return (_span(np.asarray(mask.any(axis=1)), align), _span(np.asarray(mask.any(axis=0)), align))


def _span(line: NDArray[np.bool_], align: int) -> slice:
    occupied = np.flatnonzero(line)
    low = max(0, int(occupied[0]) - _MARGIN_PX) // align * align
    high = min(line.size, -(-(int(occupied[-1]) + 1 + _MARGIN_PX) // align) * align)
    return slice(low, high)


def _on_whole_grid(
    part: WindowStatistics, box: tuple[slice, slice], shape: tuple[int, ...], step: int
) -> WindowStatistics:
    """Place the measurements of a part of a slice on the grid of the whole slice."""
    rows, columns = shape[0] // step, shape[1] // step
    top, left = box[0].start // step, box[1].start // step
    height, width = part.inside.shape
    place = (slice(top, top + height), slice(left, left + width))
    energy = np.full((part.energy.shape[0], rows, columns), np.nan, dtype=np.float32)
    covariates = np.zeros((part.covariates.shape[0], rows, columns), dtype=np.float32)
    inside = np.zeros((rows, columns), dtype=bool)
    energy[:, *place], covariates[:, *place], inside[place] = part.energy, part.covariates, part.inside
    return WindowStatistics(energy, covariates, inside)
