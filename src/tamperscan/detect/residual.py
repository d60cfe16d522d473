"""The noise that the predictor sees in a scan: what the step back in time would take away, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.measure import region_box
from tamperscan.diffusion.predictor import NoisePredictor, Predictor
from tamperscan.diffusion.weights import Card, Weights
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import IntensityWindow, signal_window


class NoiseResidual:
    """Predicts the noise of whole slices at the lowest level that a detector is asked at.

    Parameters
    ----------
    weights
        Low-noise weights with levels, see `can_predict`.
    threads
        CPU threads; None for all that this process may use.
    """

    def __init__(self, weights: Weights, *, threads: int | None = None) -> None:
        self._predictor: Predictor = NoisePredictor(weights, threads=threads)
        self._card = weights.card

    @staticmethod
    def can_predict(card: Card, modality: str) -> bool:
        """Whether weights are of the low-noise kind, with levels, and for this modality."""
        levels = card.levels_of_range if modality == "MR" else card.levels_hu and card.window
        return card.kind == "low-noise" and card.modality == modality and bool(levels)

    def sigma(self, scan: Scan) -> float:
        """Return the noise level in the scan's units: HU, or those of an MR's signal."""
        return self._window_and_sigma(scan)[1]

    def slices(self, scan: Scan, regions: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.float32]]:
        """Predict the noise of one slice after the other.

        Parameters
        ----------
        scan
            A scan of the weights' modality.
        regions
            bool ``[slice, row, column]``: where the detector looked. Slices without any, and what lies outside of the
            rectangle around all of them, are 0 then: it takes as long as the parts that are predicted. None, or no
            region at all, for everything.

        Yields
        ------
        float32 ``[row, column]`` in the scan's units: sigma times the standardised noise that was predicted. It has the
        sign of x_0 - x_-1 (arXiv 2407.15169): positive where the step would make the image darker.
        """
        window, sigma = self._window_and_sigma(scan)
        level = np.array([sigma / window.units_per_model_unit], dtype=np.float32)
        measured = None if regions is None or not regions.any() else regions
        looked = [measured is None or bool(plane.any()) for plane in (scan.voxels if measured is None else measured)]
        everything = (slice(None), slice(None))
        stride = self._predictor.stride
        box = everything if measured is None else region_box(np.asarray(measured.any(axis=0)), stride)
        for image, wanted in zip(scan.voxels, looked, strict=True):
            residual = np.zeros(image.shape, np.float32)
            if wanted:
                residual[box] = self._predictor.predict(window.to_model(image[box]), level)[0] * np.float32(sigma)
            yield residual

    def _window_and_sigma(self, scan: Scan) -> tuple[IntensityWindow, float]:
        if self._card.window is not None and self._card.levels_hu:
            return IntensityWindow(*self._card.window), min(self._card.levels_hu)
        window = signal_window(scan.voxels)
        return window, min(self._card.levels_of_range) * window.width
