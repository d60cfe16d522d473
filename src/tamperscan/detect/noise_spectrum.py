"""The power spectrum of a slice's fine structure, by frequency: what kernels, filters and added noise shape."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Image = NDArray[np.float32]

_PATCH_PX: Final = 64
_APART_PX: Final = 32
_HIGH_PASS_PX: Final = 9
# Edges of bone and of the table would drown the noise.
_LARGEST_HU: Final = 300.0
_TISSUE_HU: Final = (-980.0, 200.0)
_LEAST_TISSUE: Final = (0.9, 0.7)
_LEAST_PATCHES: Final = 3
# Cycles a pixel: lower ends of the bins, each of this width; beyond 0.5 only oblique waves exist.
_BINS: Final = np.arange(0.075, 0.7, 0.05)
_BIN_WIDTH: Final = 0.05

FEATURES: Final = len(_BINS) + 1
"""Numbers that describe a spectrum: its bins, and how axial waves differ from oblique ones."""


def noise_spectrum(part: Image) -> NDArray[np.float64] | None:
    """Measure the spectrum (the mean of logarithms over overlapping patches of tissue, after Welch 1967).

    Parameters
    ----------
    part
        float32 ``[row, column]`` in HU.

    Returns
    -------
    float64 ``[feature]`` or None
        log10 of the power in each bin, and by how much it is larger along rows and columns than obliquely between 0.4
        and 0.5 cycles a pixel; None where there is too little tissue.
    """
    chosen = _patches(part)
    if chosen is None:
        return None
    power = np.abs(fft.rfft2(chosen * _WINDOW)) ** 2 / float((_WINDOW**2).sum())
    mean = np.exp(np.log(power + np.float32(1e-6)).mean(axis=0, dtype=np.float64))
    bins = [np.log10(mean[where].mean()) for where in _IN_BIN]
    return np.array([*bins, np.log10(mean[_AXIAL].mean() / mean[_OBLIQUE].mean())])


def _patches(part: Image) -> Image | None:
    fine = np.clip(part - ndimage.uniform_filter(part, _HIGH_PASS_PX), -_LARGEST_HU, _LARGEST_HU)
    tissue = ((part > _TISSUE_HU[0]) & (part < _TISSUE_HU[1]))[::4, ::4]
    sides = _PATCH_PX, _PATCH_PX
    windows = np.lib.stride_tricks.sliding_window_view(fine, sides)[::_APART_PX, ::_APART_PX]
    coarse = np.lib.stride_tricks.sliding_window_view(tissue, (_PATCH_PX // 4, _PATCH_PX // 4))
    share = coarse[:: _APART_PX // 4, :: _APART_PX // 4].mean(axis=(2, 3))
    share = share[: windows.shape[0], : windows.shape[1]]
    for least in _LEAST_TISSUE:
        if (share > least).sum() >= _LEAST_PATCHES:
            chosen: Image = windows[share > least]
            return chosen
    return None


def _frequencies() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, right = np.abs(np.fft.fftfreq(_PATCH_PX)), np.fft.rfftfreq(_PATCH_PX)
    return down[:, None].astype(np.float64), right[None, :].astype(np.float64)


def _between(low: float, high: float) -> NDArray[np.bool_]:
    radius = np.hypot(*_frequencies())
    return np.asarray((radius >= low) & (radius < high))


_WINDOW: Final = np.outer(np.hanning(_PATCH_PX), np.hanning(_PATCH_PX)).astype(np.float32)
_IN_BIN: Final = [_between(low, low + _BIN_WIDTH) for low in _BINS]
_AXIAL: Final = _between(0.4, 0.5) & np.asarray(np.minimum(*_frequencies()) < 0.06)
_OBLIQUE: Final = _between(0.4, 0.5) & np.asarray(np.abs(np.subtract(*_frequencies())) < 0.08)
