"""What processing of a whole slice leaves in its pixels, measured one trace at a time.

Compression works on a grid of its own. On that grid most of its coefficients are zero, and on one that is shifted
they are not; on a slice as it was reconstructed both are alike, whatever the kernel and the dose (after Fan and de
Queiroz, IEEE TIP 12(2), 2003, for blocks; the same is done here for wavelets). Interpolation makes the variance of the
noise periodic (Popescu and Farid, IEEE TSP 53(2), 2005; Gallagher, CRV 2005); rotated, it is oblique.
Rounding to coarse steps leaves gaps in the histogram (Stamm and Liu, IEEE TIFS 5(3), 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

# The middle of a slice holds the body; its corner keeps the grid of what compressed it.
_SIDE_PX: Final = 384
_BLOCK_PX: Final = 8
# What is neither air around the patient nor dense bone: there noise is to be seen.
_BODY_HU: Final = (-980.0, 350.0)
_LEAST_PIXELS: Final = 4_000

_HISTOGRAM_HU: Final = (-1000, 400)
# Slower waves than this are the histogram of anatomy.
_COARSEST_STEP_HU: Final = 17.0

# Coefficients below this are zero but for rounding to whole HU.
_ZERO_HU: Final = 4.0
_WAVELET_ZERO_HU: Final = 1.5
_LEAST_SHARE: Final = 1e-3
# Lifting steps of the 9/7 wavelet of JPEG 2000 (Daubechies and Sweldens 1998; ISO/IEC 15444-1, annex F).
_LIFTING: Final = (-1.586134342, -0.052980118, 0.882911075, 0.443506852)

_LAPLACIAN: Final = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32) / np.float32(4.0)
_DETREND_PX: Final = 41
_SURROUNDINGS: Final = 9
# Longer periods than this are anatomy.
_LONGEST_PERIOD_PX: Final = 40.0


@dataclass(frozen=True)
class GridMeasures:
    """Traces in one slice; NaN for what could not be measured.

    Attributes
    ----------
    comb, step_hu
        Strongest regular gap in the histogram of HU, 0 to 1, and the distance of the values that it speaks of.
    blocks
        log10 of how much more often block coefficients are zero on the grid of 8 x 8 pixels than on a shifted one.
    wavelet
        The same for wavelet coefficients on even and on odd pixels.
    repetition, period_px
        log10 of the strongest periodic part of the noise's variance over its surroundings, and its period.
    unevenness
        log10 of the ninetieth over the fiftieth percentile of the finest noise: high where most of it was removed.
    """

    comb: float
    step_hu: float
    blocks: float
    wavelet: float
    repetition: float
    period_px: float
    unevenness: float


NOTHING: Final = GridMeasures(*[math.nan] * 7)


def middle(image: Image) -> Image:
    """Cut the middle out of a slice, aligned to blocks of 8 x 8 pixels."""
    cut = []
    for side in image.shape:
        start = max(0, (side - _SIDE_PX) // 2) // _BLOCK_PX * _BLOCK_PX
        cut.append(slice(start, min(side, start + _SIDE_PX) // _BLOCK_PX * _BLOCK_PX))
    part: Image = image[cut[0], cut[1]]
    return part


def grid_measures(part: Image) -> GridMeasures:
    """Measure the middle of a slice.

    Parameters
    ----------
    part
        float32 ``[row, column]`` in HU, from `middle`.
    """
    smooth = ndimage.uniform_filter(part, 5)
    body = (smooth > _BODY_HU[0]) & (smooth < _BODY_HU[1])
    if body.sum() < _LEAST_PIXELS:
        return NOTHING
    finest = ndimage.correlate(part, _LAPLACIAN)
    comb, step = _comb(part[body])
    repetition, period = _repetition(finest, body)
    return GridMeasures(
        comb, step, _blocks(part), _wavelet(part, body), repetition, period, _unevenness(np.abs(finest[body]))
    )


def _comb(values: Image) -> tuple[float, float]:
    """Return how regular the gaps in a histogram are, and their distance."""
    first, last = _HISTOGRAM_HU
    whole = np.rint(values[(values > first) & (values < last)]).astype(np.int64) - first
    counts = np.bincount(whole, minlength=last - first + 1) * np.hanning(last - first + 1)
    if counts.sum() <= 0:
        return math.nan, math.nan
    waves = np.abs(np.fft.rfft(counts)) / counts.sum()
    frequency = np.fft.rfftfreq(len(counts))
    waves[frequency < 1.0 / _COARSEST_STEP_HU] = 0.0
    best = int(np.argmax(waves))
    return float(waves[best]), float(1.0 / frequency[best])


def _blocks(part: Image) -> float:
    half = _BLOCK_PX // 2
    aligned, shifted = _zeros_of_blocks(part), _zeros_of_blocks(part[half:-half, half:-half])
    return _log_ratio(aligned, shifted)


def _zeros_of_blocks(part: Image) -> float:
    """Return the share of zeros among the fine cosine coefficients of blocks of 8 x 8 pixels."""
    rows, columns = (side // _BLOCK_PX for side in part.shape)
    blocks = part.reshape(rows, _BLOCK_PX, columns, _BLOCK_PX).swapaxes(1, 2).reshape(-1, _BLOCK_PX, _BLOCK_PX)
    means = blocks.mean(axis=(1, 2))
    # Blocks that hold air alone are all zeros on any grid.
    kept = blocks[(means > _BODY_HU[0] + 30.0) & (means < _BODY_HU[1])]
    if len(kept) == 0:
        return math.nan
    fine = (_COSINES @ kept @ _COSINES.T)[:, _FINE]
    return float((np.abs(fine) < _ZERO_HU).mean())


def _cosines() -> Image:
    """Return the cosine transform of 8 samples as a matrix ``[frequency, sample]``."""
    matrix: Image = fft.dct(np.eye(_BLOCK_PX), axis=0, norm="ortho").astype(np.float32)
    return matrix


_COSINES: Final = _cosines()
_FINE: Final = np.add.outer(np.arange(_BLOCK_PX), np.arange(_BLOCK_PX)) >= _BLOCK_PX


def _wavelet(part: Image, body: Mask) -> float:
    return _log_ratio(_zeros_of_wavelet(part, body), _zeros_of_wavelet(part[1:, 1:], body[1:, 1:]))


def _zeros_of_wavelet(part: Image, body: Mask) -> float:
    """Return the share of zeros among the finest diagonal coefficients of the 9/7 wavelet."""
    diagonal = _detail(_detail(part).T).T
    kept = np.abs(diagonal[body[1::2, 1::2][: diagonal.shape[0], : diagonal.shape[1]]])
    return float((kept < _WAVELET_ZERO_HU).mean()) if kept.size else math.nan


def _detail(image: Image) -> Image:
    """Return the detail coefficients along the rows' axis."""
    length = image.shape[0] // 2 * 2
    even, odd = image[0:length:2].copy(), image[1:length:2].copy()
    for number, factor in enumerate(_LIFTING[:3]):
        if number % 2 == 0:
            odd += np.float32(factor) * (even + np.concatenate((even[1:], even[-1:])))
        else:
            even += np.float32(factor) * (odd + np.concatenate((odd[:1], odd[:-1])))
    return odd


def _log_ratio(share: float, other: float) -> float:
    return math.log10((share + _LEAST_SHARE) / (other + _LEAST_SHARE))


def _repetition(finest: Image, body: Mask) -> tuple[float, float]:
    """Return the strength and period of what repeats in the variance of the finest noise."""
    weight = body.astype(np.float32)
    variance = np.log(finest * finest + np.float32(1.0)) * weight
    around = ndimage.uniform_filter(weight, _DETREND_PX)
    variance -= ndimage.uniform_filter(variance, _DETREND_PX) / np.maximum(around, 1e-3) * weight
    variance *= np.outer(*(np.hanning(side) for side in variance.shape)).astype(np.float32)
    power = np.abs(fft.rfft2(variance)) ** 2
    # The mean of what surrounds a frequency, without its nearest neighbours.
    wide, near = (ndimage.uniform_filter(power, side, mode="wrap") * side**2 for side in (_SURROUNDINGS, 3))
    ratio = power * (_SURROUNDINGS**2 - 9) / np.maximum(wide - near, 1e-9)
    down, right = np.fft.fftfreq(variance.shape[0])[:, None], np.fft.rfftfreq(variance.shape[1])[None, :]
    frequency = np.hypot(down, right)
    ratio[frequency < 1.0 / _LONGEST_PERIOD_PX] = 0.0
    best = np.unravel_index(int(np.argmax(ratio)), ratio.shape)
    if not ratio[best] > 0.0:  # nothing varies
        return math.nan, math.nan
    return math.log10(max(float(ratio[best]), 1e-9)), float(1.0 / frequency[best])


def _unevenness(finest: Image) -> float:
    strong, usual = np.percentile(finest, (90.0, 50.0))
    return math.log10((float(strong) + 0.1) / (float(usual) + 0.1))
