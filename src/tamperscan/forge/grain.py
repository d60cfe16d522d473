"""The grain of a scan: what its noise adds to anatomy, taken apart without blurring vessels and borders.

The bilateral filter (Tomasi and Manduchi, "Bilateral filtering for gray and color images", ICCV 1998) averages a pixel
with those neighbours that differ from it by no more than noise does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import ndimage

from tamperscan.forge.site import Mask, Voxels

REACH_PX: Final = 4
"""How many pixels on each side decide what a pixel is without its grain."""

_SPREAD_PX: Final = 2.0
# Neighbours that differ by twice the noise still count half.
_TOLERANCE: Final = 2.0
_CONSISTENT: Final = 1.4826
_SOFT_HU: Final = (0.0, 120.0)
_FLAT_HU: Final = 8.0
_LEAST_PIXELS: Final = 400


def noise_level(voxels: Voxels, where: Mask | None = None) -> float:
    """Return the standard deviation of the noise.

    Taken from the median absolute deviation of what a Gaussian mean over 2 pixels leaves in each slice, so that vessels
    and borders hardly count.

    Parameters
    ----------
    voxels
        float32 ``[slice, row, column]``.
    where
        bool, of the same shape: the voxels that count; None for all.
    """
    rest = voxels - ndimage.gaussian_filter(voxels, (0.0, _SPREAD_PX, _SPREAD_PX))
    chosen = rest if where is None else rest[where]
    return _CONSISTENT * float(np.median(np.abs(chosen - np.median(chosen))))


def soft_tissue_noise(hu: Voxels) -> float | None:
    """Return the noise in the soft tissue of some CT slices, in HU; None where they show too little of it."""
    smooth = ndimage.gaussian_filter(hu, (0.0, _SPREAD_PX, _SPREAD_PX))
    slope = np.hypot(*(np.gradient(smooth, axis=axis) for axis in (1, 2)))
    soft = (smooth > _SOFT_HU[0]) & (smooth < _SOFT_HU[1]) & (slope < _FLAT_HU)
    return noise_level(hu, soft) if int(soft.sum()) >= _LEAST_PIXELS else None


def without_grain(voxels: Voxels, noise: float) -> Voxels:
    """Return float32 ``[slice, row, column]``: anatomy without the grain, by bilateral filtering of each slice.

    Parameters
    ----------
    voxels
        float32 ``[slice, row, column]``.
    noise
        Standard deviation of the noise, as from `noise_level`.
    """
    rows, columns = voxels.shape[1:]
    padded = np.pad(voxels, ((0, 0), (REACH_PX, REACH_PX), (REACH_PX, REACH_PX)), mode="reflect")
    total, weights = np.zeros_like(voxels), np.zeros_like(voxels)
    tolerance = np.float32(1.0 / (_TOLERANCE * max(noise, 1e-3)))
    for down in range(2 * REACH_PX + 1):
        for across in range(2 * REACH_PX + 1):
            away = (down - REACH_PX) ** 2 + (across - REACH_PX) ** 2
            shifted = padded[:, down : down + rows, across : across + columns]
            likeness = np.exp(-0.5 * ((shifted - voxels) * tolerance) ** 2)
            weight = likeness * np.float32(np.exp(-away / (2.0 * _SPREAD_PX**2)))
            total += weight * shifted
            weights += weight
    clean: Voxels = total / weights
    return clean


def texture(shape: tuple[int, ...], lengths: Sequence[float], rng: np.random.Generator) -> Voxels:
    """Draw a random field of variance 1 whose autocorrelation is a Gaussian that falls to 1/e at given lengths.

    Parameters
    ----------
    shape
        (slices, rows, columns).
    lengths
        Correlation length in voxels along each axis.
    rng
        Draws it.
    """
    # White noise that is blurred with a standard deviation s has the autocorrelation exp(-r^2 / 4 s^2).
    field = ndimage.gaussian_filter(rng.standard_normal(shape, dtype=np.float32), [length / 2.0 for length in lengths])
    spread = float(field.std())
    drawn: Voxels = field / np.float32(spread) if spread > 0.0 else field
    return drawn
