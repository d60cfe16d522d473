"""Local noise level: the median absolute deviation of wavelet details, the oldest estimate of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pywt
from scipy import ndimage

from tamperscan.bench.contenders.contender import Authentic, Budget, Image, Report
from tamperscan.bench.contenders.images import pad_to

# Details are half as dense as pixels: a window of 22 pixels.
WINDOW = 11
# The median of the absolute value of standard Gaussian noise.
_MAD = 0.6745


class NoiseLevel:
    """Estimates the noise's standard deviation around every pixel, in bench units; nothing is learned."""

    name = "noise-level"
    source = "Donoho and Johnstone: Ideal spatial adaptation by wavelet shrinkage. Biometrika 81, 1994"
    settings: Mapping[str, Any] = {"wavelet": "haar", "window": WINDOW}

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Learn nothing."""
        return {}

    def load(self, folder: Path) -> None:
        """Take up nothing."""

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the standard deviation of the noise, ``[row, column]``."""
        _, (_, _, diagonal) = pywt.dwt2(pad_to(image, 2).astype(np.float32), "haar")
        sigma = ndimage.median_filter(np.abs(diagonal), size=WINDOW, mode="reflect") / np.float32(_MAD)
        large: Image = sigma.repeat(2, axis=0).repeat(2, axis=1)[: image.shape[0], : image.shape[1]]
        return large
