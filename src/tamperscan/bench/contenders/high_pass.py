"""Local high-pass variance: how much is left around a pixel when what is smooth is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from tamperscan.bench.contenders.contender import Authentic, Budget, Image, Report

SIGMA_PX = 1.0
WINDOW_PX = 21


class HighPass:
    """Measures the variance of the high-pass around every pixel, in squared bench units; nothing is learned."""

    name = "high-pass"
    source = "a common yardstick: variance of the image less its Gaussian blur"
    settings: Mapping[str, Any] = {"sigma_px": SIGMA_PX, "window_px": WINDOW_PX}

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Learn nothing."""
        return {}

    def load(self, folder: Path) -> None:
        """Take up nothing."""

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the local variance, ``[row, column]``."""
        values = image.astype(np.float64)  # differences of squares lose too much in float32
        fine = values - ndimage.gaussian_filter(values, SIGMA_PX, mode="reflect")
        mean = ndimage.uniform_filter(fine, WINDOW_PX, mode="reflect")
        square = ndimage.uniform_filter(fine * fine, WINDOW_PX, mode="reflect")
        variance: Image = np.maximum(square - mean * mean, 0.0).astype(np.float32)
        return variance
