"""The published detector: one reverse step without noise, and the mean square of what it takes away.

Grabovski, Yasur, Amit, Elovici and Mirsky, "Back-in-Time Diffusion", arXiv 2407.15169. Kept as the reference: told a
place, it scores the patch around it as the paper does. Screening without a place slides the same patch over the scan.
"""

from __future__ import annotations

import math
import time

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.detector import DEFAULT_ALARM_RATE, Progress, check_inside
from tamperscan.detect.regions import lung_mask
from tamperscan.detect.results import Screening, SliceResult
from tamperscan.diffusion.networks import Device
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.reverse_step import back_in_time
from tamperscan.diffusion.schedule import NoiseSchedule, noise_schedule
from tamperscan.diffusion.weights import Card, Weights
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import PUBLISHED_CT, IntensityWindow, signal_window

PATCH_PX = {"CT": 96, "MR": 128}
# Patches that are predicted in one call: enough to fill the cores, few enough to stay small in memory.
_BATCH = 8


class BackInTime:
    """The published detector, with the interface of `Detector`.

    Parameters
    ----------
    weights
        Imported official weights, or weights of your own trained with ``--preset paper-ct``. Low-noise weights serve
        as well: they are asked at the noise level that the published step stands for.
    threads
        CPU threads; None for all that this process may use.
    device
        As for `tamperscan.diffusion.networks.open_network`. The reference is always run in float32.
    """

    def __init__(self, weights: Weights, *, threads: int | None = None, device: Device = "auto") -> None:
        self.weights = weights
        self._predictor = NoisePredictor(weights, threads=threads, device=device, precision="float32")
        self.runtime = self._predictor.runtime
        self._schedule: NoiseSchedule = noise_schedule(weights.card.schedule or "sigmoid", weights.card.timesteps)

    @property
    def name(self) -> str:
        """Name of the detector."""
        return f"back-in-time ({self.card.name})"

    @property
    def card(self) -> Card:
        """What it was trained on."""
        return self.weights.card

    def removed(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return x_0 - x_-1 of patches.

        Parameters
        ----------
        patches
            float32 ``[n, row, column]`` in the scan's units.

        Returns
        -------
        float32 ``[n, row, column]`` in model units of the published window.
        """
        return self._removed(patches, self._window(patches))

    def _removed(self, patches: NDArray[np.float32], window: IntensityWindow) -> NDArray[np.float32]:
        x0 = window.to_model(patches)
        eps = self._predict(patches, x0, window)
        result: NDArray[np.float32] = (x0 - back_in_time(x0, eps, self._schedule)).astype(np.float32)
        return result

    def score_patch(self, scan: Scan, slice: int, row: int, column: int) -> float:
        """Score the patch around a place: the mean square of what the reverse step takes away.

        Parameters
        ----------
        scan
            The scan.
        slice, row, column
            Voxel index of the place.

        Raises
        ------
        IndexError
            If the place lies outside the scan.
        """
        check_inside(scan, slice, row, column)
        patch = self._cut(scan.voxels[slice], row, column)
        return float(np.mean(self._removed(patch[None], self._window(scan.voxels[slice])) ** 2))

    def screen(self, scan: Scan, *, progress: Progress | None = None, alarm_rate: float | None = None) -> Screening:
        """Score a whole scan, without a verdict: the published score has no calibration.

        The suspicion at a pixel is the mean square over the patch around it, taken from tiles that cover the slice; the
        slice's score is its maximum in the lung (for MR, in the body).
        """
        begun = time.monotonic()
        suspicion = np.zeros(scan.shape, dtype=np.float32)
        regions = np.zeros(scan.shape, dtype=bool)
        slices = []
        for index, image in enumerate(scan.voxels):
            if scan.modality == self.card.modality:
                regions[index] = self._region(image, scan)
            if regions[index].any():
                suspicion[index] = self._map(image) * regions[index]
            slices.append(_slice_result(index, suspicion[index], regions[index]))
            if progress:
                progress(index + 1, scan.shape[0])
        known = [each.score for each in slices if math.isfinite(each.score)]
        return Screening(
            scan=scan,
            verdict="abstained",
            reasons=self._reasons(scan),
            score=max(known, default=math.nan),
            p_value=None,
            alarm_rate=DEFAULT_ALARM_RATE if alarm_rate is None else alarm_rate,
            findings=(),
            slices=tuple(slices),
            suspicion=suspicion,
            regions=regions,
            detector_name=self.name,
            weights_sha256=self.weights.sha256,
            settings={"patch_px": self._side, "schedule": self._schedule.name},
            seconds=time.monotonic() - begun,
        )

    def _reasons(self, scan: Scan) -> tuple[str, ...]:
        if scan.modality != self.card.modality:
            return (f"The scan is {scan.modality}; the network was trained on {self.card.modality} only.",)
        return ("The published score is not calibrated: it has no false-alarm rate, so no verdict is given.",)

    @property
    def _side(self) -> int:
        return PATCH_PX[self.card.modality]

    def _window(self, images: NDArray[np.float32]) -> IntensityWindow:
        """Return the published window; MR images are scaled by their own range."""
        if self.card.modality == "CT":
            return PUBLISHED_CT
        return signal_window(images)

    def _predict(
        self, patches: NDArray[np.float32], x0: NDArray[np.float32], window: IntensityWindow
    ) -> NDArray[np.float32]:
        if self.card.kind == "published":
            return self._predictor.predict_batch(x0, np.zeros(len(x0), dtype=np.float32))
        # The same noise in HU, in the units of the other network; what the published window cuts off stays cut off.
        own = IntensityWindow(*self.card.window) if self.card.window else window
        sigma = self._schedule.sigma_in_units(0, window.units_per_model_unit) / own.units_per_model_unit
        clipped = own.to_model(np.clip(patches, window.low, window.high))
        return self._predictor.predict_batch(clipped, np.full(len(x0), sigma, dtype=np.float32))

    def _cut(self, image: NDArray[np.float32], row: int, column: int) -> NDArray[np.float32]:
        """Cut the patch around a pixel; beyond the border it is filled with the lowest value, as officially."""
        half = self._side // 2
        window = self._window(image)
        padded = np.pad(image, half, mode="constant", constant_values=window.low)
        return padded[row : row + self._side, column : column + self._side]

    def _region(self, image: NDArray[np.float32], scan: Scan) -> NDArray[np.bool_]:
        if self.card.modality == "CT":
            return lung_mask(image, (scan.spacing_mm[1], scan.spacing_mm[2]))
        body: NDArray[np.bool_] = image > 0.1 * float(np.percentile(image, 99.0))
        return body

    def _map(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean square over the patch around each pixel, from tiles without overlap."""
        side = self._side
        rows, columns = image.shape
        padded = np.pad(image, ((0, -rows % side), (0, -columns % side)), mode="edge")
        down, across = padded.shape[0] // side, padded.shape[1] // side
        tiles = padded.reshape(down, side, across, side).swapaxes(1, 2).reshape(-1, side, side)
        window = self._window(image)
        squares = np.concatenate(
            [self._removed(tiles[start : start + _BATCH], window) ** 2 for start in range(0, len(tiles), _BATCH)]
        )
        whole = squares.reshape(down, across, side, side).swapaxes(1, 2).reshape(padded.shape)
        averaged: NDArray[np.float32] = ndimage.uniform_filter(whole, side, mode="reflect")[:rows, :columns]
        return averaged


def _slice_result(index: int, suspicion: NDArray[np.float32], region: NDArray[np.bool_]) -> SliceResult:
    if not region.any():
        return SliceResult(index, math.nan, None, None)
    inside = np.where(region, suspicion, -np.inf)
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    return SliceResult(index, float(inside[row, column]), None, (int(row), int(column)))
