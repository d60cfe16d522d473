"""One slice from pixels to window statistics: find where to look, predict the noise there, measure it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.anatomy import CHEST_CT, Viewer, anatomy_of
from tamperscan.detect.regions import Tissues
from tamperscan.detect.self_forged import SelfForgedNetwork, place_odds
from tamperscan.detect.statistics import WindowStatistics, grid_step, window_statistics
from tamperscan.diffusion.predictor import Predictor
from tamperscan.diffusion.weights import Card
from tamperscan.errors import WeightsError
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import IntensityWindow

Value = TypeVar("Value", bound=np.generic)

# Less lung than this in a slice (an apex, a sliver above the liver) has no "rest" to compare a place with.
LEAST_LUNG_CM2 = CHEST_CT.least_cm2
# The network sees 51 pixels around; beyond 40 nothing changes an energy by more than 0.001.
_MARGIN_PX = 40
# Sides of the parts that networks see are multiples of this, or a little more.
_SIZES_PX = 32
# Further than this no filter reaches that divides tissues or takes a slope.
_FILTER_PX = 8


@dataclass(frozen=True, eq=False)
class SliceMeasurement:
    """What was measured in one slice.

    Attributes
    ----------
    statistics
        On the coarse grid of the whole slice.
    lung
        bool ``[row, column]`` of the slice: where it was looked, in MR the body.
    odds
        float32 ``[member, row, column]`` on the coarse grid: the self-forged head's log-odds of places; None without
        such a head.
    """

    statistics: WindowStatistics
    lung: NDArray[np.bool_]
    odds: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class SliceLook:
    """The part of a slice that holds the region, as the detector sees it.

    Attributes
    ----------
    box
        The part's rows and columns in the slice.
    hu
        float32 ``[row, column]`` in HU; an MR's signal on the same scale.
    inside
        bool ``[row, column]``: the lung, in MR the body.
    tissues
        Its tissues.
    shown
        float32 ``[row, column]`` in model units.
    noise
        float32 ``[level, row, column]``: the standardised noise that is predicted there.
    """

    box: tuple[slice, slice]
    hu: NDArray[np.float32]
    inside: NDArray[np.bool_]
    tissues: Tissues
    shown: NDArray[np.float32]
    noise: NDArray[np.float32]


class SliceMeter:
    """Measures slices with one noise predictor, and a self-forged head where there is one.

    Parameters
    ----------
    predictor
        Predicts the noise.
    card
        Its modality, window and levels.
    head
        Looks at the same slices, if given.
    """

    def __init__(self, predictor: Predictor, card: Card, head: SelfForgedNetwork | None = None) -> None:
        self._predictor, self._head = predictor, head
        self._anatomy = anatomy_of(card.modality)
        self._window, self._levels = _window_and_levels(card)
        self._viewer: Viewer | None = None

    def of(self, scan: Scan) -> SliceMeter:
        """Return a meter for the slices of one scan: in MR their signal is measured by the whole scan's range."""
        meter = copy.copy(self)
        meter._viewer = self._anatomy.view(scan.voxels)
        return meter

    def measure(self, image: NDArray[np.float32], spacing_mm: tuple[float, float]) -> SliceMeasurement | None:
        """Measure one slice; without `of` it stands for itself.

        Parameters
        ----------
        image
            float32 ``[row, column]`` in HU, or the signal of an MR.
        spacing_mm
            Distance between (rows, columns) in mm.

        Returns
        -------
        SliceMeasurement or None
            None where the slice holds too little lung (in MR: body), or nothing in it can be measured.
        """
        look = self.look(image, spacing_mm)
        if look is None:
            return None
        step = grid_step(spacing_mm)
        core = core_of(look.inside, step)
        inside, noise = look.inside[core], look.noise[:, *core]
        statistics = window_statistics(look.hu[core], noise, inside, look.tissues.part(core), spacing_mm)
        if not statistics.inside.any():
            return None
        odds, place = None, _place(look.box, core)
        if self._head is not None:
            log_odds = self._head.log_odds(look.shown, look.noise)
            odds = _on_grid(place_odds(log_odds[:, *core], inside, spacing_mm), place, image.shape, step, np.nan)
        region = np.zeros(image.shape, dtype=bool)
        region[look.box] = look.inside
        return SliceMeasurement(_on_whole_grid(statistics, place, image.shape, step), region, odds)

    def look(self, image: NDArray[np.float32], spacing_mm: tuple[float, float]) -> SliceLook | None:
        """Find the region of a slice and predict the noise there; None where there is too little of it.

        Parameters
        ----------
        image, spacing_mm
            As for `measure`.
        """
        viewer = self._viewer or self._anatomy.view(image[None])
        region = viewer.region(image, spacing_mm)
        if region.sum() * spacing_mm[0] * spacing_mm[1] < self._anatomy.least_cm2 * 100.0:
            return None
        # Aligned to the network's stride as well as to the grid: a part then gives what the whole slice gives.
        box = region_box(region, math.lcm(grid_step(spacing_mm), self._predictor.stride))
        part, inside = image[box], region[box]
        shown = (viewer.window or self._window).to_model(part)
        noise = self.predict(shown)
        return SliceLook(box, viewer.in_hu(part), inside, _tissues(viewer, part, inside), shown, noise)

    def predict(self, shown: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict the noise of an image ``[row, column]`` in model units at the card's levels."""
        return self._predictor.predict(shown, self._levels)


def _window_and_levels(card: Card) -> tuple[IntensityWindow, NDArray[np.float32]]:
    """Return the card's window and its noise levels in model units."""
    if card.modality == "MR" and card.levels_of_range:
        # A model unit is half of the range, whatever range that is.
        return IntensityWindow(0.0, 1.0), np.array(card.levels_of_range, dtype=np.float32) * np.float32(2.0)
    if card.window is None or not card.levels_hu:
        raise WeightsError(f"{card.name}: screening needs weights with a window and noise levels in HU.")
    window = IntensityWindow(*card.window)
    return window, np.array(card.levels_hu, dtype=np.float32) / np.float32(window.units_per_model_unit)


def region_box(mask: NDArray[np.bool_], align: int) -> tuple[slice, slice]:
    """Return the rows and columns around a region, with the margin that the network needs, aligned to a step.

    There are few sizes: a runtime prepares itself anew for each, which takes longer than a few rows more.
    """
    rows, columns = (_sized(np.asarray(mask.any(axis=axis)), align) for axis in (1, 0))
    return rows, columns


def _sized(line: NDArray[np.bool_], align: int) -> slice:
    span, step = _span(line, align), -(-_SIZES_PX // align) * align
    length = -(-(span.stop - span.start) // step) * step
    stop = min(line.size, span.start + length)
    return slice(max(0, stop - length) // align * align, stop)


def core_of(mask: NDArray[np.bool_], align: int) -> tuple[slice, slice]:
    """Return the rows and columns around a region that its filters reach: outside of them nothing of it is measured."""
    margin = _FILTER_PX + align
    return (_span(np.asarray(mask.any(axis=1)), align, margin), _span(np.asarray(mask.any(axis=0)), align, margin))


def _span(line: NDArray[np.bool_], align: int, margin: int = _MARGIN_PX) -> slice:
    occupied = np.flatnonzero(line)
    low = max(0, int(occupied[0]) - margin) // align * align
    high = min(line.size, -(-(int(occupied[-1]) + 1 + margin) // align) * align)
    return slice(low, high)


def _place(box: tuple[slice, slice], core: tuple[slice, slice]) -> tuple[slice, slice]:
    """Return a part of a box as rows and columns of the slice."""
    down, right = (slice(of.start + part.start, of.start + part.stop) for of, part in zip(box, core, strict=True))
    return down, right


def _tissues(viewer: Viewer, image: NDArray[np.float32], inside: NDArray[np.bool_]) -> Tissues:
    """Divide a region into tissues, looking no further than their filters reach."""
    core = core_of(inside, 1)
    found = viewer.tissues(image[core], inside[core])
    return Tissues(*(_laid_out(each, core, inside.shape) for each in (found.parenchyma, found.soft, found.between)))


def _laid_out(part: NDArray[np.bool_], place: tuple[slice, slice], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    whole = np.zeros(shape, dtype=bool)
    whole[place] = part
    return whole


def _on_whole_grid(
    part: WindowStatistics, box: tuple[slice, slice], shape: tuple[int, ...], step: int
) -> WindowStatistics:
    """Place the measurements of a part of a slice on the grid of the whole slice."""
    return WindowStatistics(
        _on_grid(part.energy, box, shape, step, np.nan),
        _on_grid(part.whiteness, box, shape, step, np.nan),
        _on_grid(part.covariates, box, shape, step, 0.0),
        _on_grid(part.inside, box, shape, step, False),
    )


def _on_grid(
    part: NDArray[Value], box: tuple[slice, slice], shape: tuple[int, ...], step: int, fill: float
) -> NDArray[Value]:
    rows, columns = part.shape[-2:]
    top, left = box[0].start // step, box[1].start // step
    grid = np.full((*part.shape[:-2], shape[0] // step, shape[1] // step), fill, dtype=part.dtype)
    grid[..., top : top + rows, left : left + columns] = part
    return grid
