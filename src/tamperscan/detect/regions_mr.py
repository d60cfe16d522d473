"""Where to look in MR: the air around the body, the body, and the tissues in it that can be measured.

An MR image is the magnitude of a complex signal, so its noise is not Gaussian everywhere: in air it follows a Rayleigh
law (with several coils a chi law), and it comes near a Gaussian one where the signal is three times the noise or more
(Gudbjartsson and Patz, "The Rician distribution of noisy MRI data", Magn. Reson. Med. 34, 1995). So the noise of the
receiver is read in the air, and nothing is measured where the signal lies below three times that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.regions import Tissues
from tamperscan.scan.windows import IntensityWindow

# The standard deviation of a magnitude in air over that of the receiver's noise: sqrt(2 - pi/2) with one coil, 0.70
# with many.
_RAYLEIGH = 0.655
# The air is looked for among the darkest part of the range, in averages over this many pixels, in some slices.
_DARKEST = 0.3
_AIR_PX = 5
_SLICES_LOOKED_AT = 16
_BINS = 150
# What counts as air lies this near its most frequent value.
_NEAR_AIR = 0.25
# Some scanners and tools set the air to zero: it has no noise then, and this part of the range is the least signal.
_LEAST_SIGNAL = 0.05
# The body stands out of the air by this many of the air's standard deviations and, as ghosts of moving tissue lie in
# the air, by this factor; averaged over this many mm.
_BODY_DEVIATIONS = 1.5
_BODY_FACTOR = 1.5
_BODY_SMOOTHING_MM = 2.0
_LEAST_BODY_CM2 = 4.0
# Flat is where the smoothed signal changes by less than this part of itself a pixel, and by more than the noise makes
# it: a Gaussian of 1.5 pixels leaves a slope of 0.16 times white noise.
_SMOOTHING_PX = 1.5
_FLAT_SLOPE = 0.06
_NOISE_SLOPE = 0.25
# Bright tissue has this many times the median signal of the slice's body.
_BRIGHT = 1.8


@dataclass(frozen=True)
class AirSignal:
    """What a scan shows where there is no body.

    Attributes
    ----------
    mean
        Signal of the air.
    deviation
        Its standard deviation.
    top
        The top of the scan's signal, see `signal_window`.
    """

    mean: float
    deviation: float
    top: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the receiver's noise, in the scan's units; 0 where the air was set to zero."""
        return self.deviation / _RAYLEIGH

    @property
    def body_from(self) -> float:
        """Averaged signal above which there is a body."""
        above_noise = self.mean + _BODY_DEVIATIONS * self.deviation
        return max(above_noise, _BODY_FACTOR * self.mean, _LEAST_SIGNAL * self.top)

    @property
    def measurable_from(self) -> float:
        """Signal above which the noise is nearly Gaussian."""
        return max(3.0 * self.sigma, self.body_from)


def find_air(voxels: NDArray[np.float32], window: IntensityWindow) -> AirSignal:
    """Find the signal of the air: the most frequent one among the darkest.

    Parameters
    ----------
    voxels
        float32 ``[slice, row, column]``.
    window
        The scan's own, as from `signal_window`.
    """
    some = voxels[:: max(1, len(voxels) // _SLICES_LOOKED_AT)]
    size = (0, _AIR_PX, _AIR_PX) if some.ndim == 3 else _AIR_PX
    mean = ndimage.uniform_filter(some, size)
    # Exact zeros are padding, or air that was set to zero.
    dark = (mean > 0.002 * window.high) & (mean < _DARKEST * window.high)
    if not dark.any():
        return AirSignal(0.0, 0.0, window.high)
    counts, edges = np.histogram(mean[dark], bins=_BINS, range=(0.0, _DARKEST * window.high))
    most = int(np.argmax(ndimage.gaussian_filter1d(counts.astype(np.float64), 1.5)))
    frequent = float(edges[most] + edges[most + 1]) / 2
    air = dark & (np.abs(mean - frequent) <= _NEAR_AIR * frequent)
    if not air.any():
        return AirSignal(0.0, 0.0, window.high)
    square = ndimage.uniform_filter(some * some, size)[air] - mean[air] ** 2
    deviation = float(np.sqrt(np.median(np.maximum(square, 0.0))))
    return AirSignal(frequent, deviation, window.high)


def body_mask(signal: NDArray[np.float32], air: AirSignal, spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Find the body in one slice, dark holes filled in.

    Parameters
    ----------
    signal
        float32 ``[row, column]``.
    air
        Of the scan.
    spacing_mm
        Distance between (rows, columns) in mm.

    Returns
    -------
    bool ``[row, column]``; all False where there is none.
    """
    smooth = ndimage.gaussian_filter(signal, [_BODY_SMOOTHING_MM / side for side in spacing_mm])
    labels, count = ndimage.label(ndimage.binary_fill_holes(smooth > air.body_from))
    areas = np.bincount(labels.ravel(), minlength=count + 1) * spacing_mm[0] * spacing_mm[1] / 100.0
    large = areas >= _LEAST_BODY_CM2
    large[0] = False
    return np.asarray(large[labels], dtype=bool)


def mr_tissues(signal: NDArray[np.float32], body: NDArray[np.bool_], air: AirSignal) -> Tissues:
    """Divide the body of one slice by what its noise can be compared with.

    The classes play the parts of those in a lung: ``parenchyma`` is flat tissue of ordinary signal, ``soft`` is flat
    tissue that is much brighter than most of the slice (glands, tumours, fat, vessels), ``between`` are the edges.
    What lies too low for its noise to be nearly Gaussian belongs to none.

    Parameters
    ----------
    signal
        float32 ``[row, column]``.
    body
        bool ``[row, column]``, as from `body_mask`.
    air
        Of the scan.
    """
    smooth = ndimage.gaussian_filter(signal, _SMOOTHING_PX)
    slope = ndimage.gaussian_gradient_magnitude(signal, _SMOOTHING_PX)
    seen = body & (smooth > air.measurable_from)
    if not seen.any():
        return Tissues(seen, seen, seen)
    flat = seen & (slope < _FLAT_SLOPE * smooth + _NOISE_SLOPE * air.sigma)
    bright = smooth > _BRIGHT * float(np.median(smooth[seen]))
    return Tissues(parenchyma=flat & ~bright, soft=flat & bright, between=seen & ~flat)
