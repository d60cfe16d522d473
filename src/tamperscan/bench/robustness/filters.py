"""Treatments that change an image's noise: blur, denoising, added noise, a sharper kernel."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from tamperscan.bench.robustness.subjects import Image, TestSlice
from tamperscan.forge.grain import noise_level

_UNSHARP_PX: Final = 1.0
_UNSHARP_AMOUNT: Final = 1.0
# Non-local means with the settings that are usual for it: patches of 5 x 5, searched within 5 pixels.
_PATCH_PX: Final = 5
_SEARCH_PX: Final = 5
_STRENGTH: Final = 0.8


def blurred(subject: TestSlice, *, sigma_px: float) -> Image:
    """Smooth with a Gaussian."""
    return np.asarray(ndimage.gaussian_filter(subject.image, sigma_px), np.float32)


def sharpened(subject: TestSlice) -> Image:
    """Add what a Gaussian takes away (unsharp masking), as a sharper reconstruction kernel would."""
    smooth = ndimage.gaussian_filter(subject.image, _UNSHARP_PX)
    return np.asarray(subject.image + _UNSHARP_AMOUNT * (subject.image - smooth), np.float32)


def noised(subject: TestSlice, *, noise_hu: float) -> Image:
    """Add white Gaussian noise."""
    noise = subject.generator("noise", noise_hu).standard_normal(subject.image.shape, dtype=np.float32)
    return subject.image + noise * np.float32(noise_hu)


def denoised(subject: TestSlice) -> Image:
    """Average pixels whose surroundings are alike (non-local means; Buades, Coll and Morel, CVPR 2005)."""
    image = subject.image
    noise = noise_level(image[None], subject.lung[None])
    tolerance = np.float32(1.0 / (_STRENGTH * max(noise, 1.0)) ** 2)
    padded = np.pad(image, _SEARCH_PX, mode="reflect")
    rows, columns = image.shape
    total, weights = np.zeros_like(image), np.zeros_like(image)
    for down in range(2 * _SEARCH_PX + 1):
        for right in range(2 * _SEARCH_PX + 1):
            shifted = padded[down : down + rows, right : right + columns]
            # Two patches of the same content differ by twice the noise's variance.
            unlike = ndimage.uniform_filter((shifted - image) ** 2, _PATCH_PX) - np.float32(2.0 * noise**2)
            weight = np.exp(-np.maximum(unlike, 0.0) * tolerance)
            total += weight * shifted
            weights += weight
    return np.asarray(total / weights, np.float32)
