"""Where traces of processing begin: limits, and the line that reads a noise spectrum, from their JSON file.

``training/choose_processing.py`` makes the file from authentic patients of the split's parts "train" and "calibrate",
untreated and treated; it says on how many and with what, and which rates it found on patients left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.data import processing_path


@dataclass(frozen=True, eq=False)
class Line:
    """A linear discriminant (ridge logistic regression) of spectra.

    Attributes
    ----------
    middle, width, weights
        float64 ``[feature]``: features are standardised, then weighted.
    offset
        Added to their sum, which gives log-odds.
    limit
        Log-odds above it count as recognised.
    """

    middle: NDArray[np.float64]
    width: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: float
    limit: float

    def log_odds(self, features: NDArray[np.float64]) -> float:
        """Return how much a spectrum speaks for processing."""
        return float(((features - self.middle) / self.width) @ self.weights + self.offset)


@dataclass(frozen=True, eq=False)
class Limits:
    """What counts as a trace.

    Attributes
    ----------
    comb, blocks, wavelet, repetition, unevenness
        Limits of the `GridMeasures` of the same name.
    smoothed
        Tells spectra of smoothed images.
    """

    comb: float
    blocks: float
    wavelet: float
    repetition: float
    unevenness: float
    smoothed: Line


@cache
def read_limits() -> Limits:
    """Read the packaged limits."""
    plain: dict[str, Any] = json.loads(processing_path().read_text(encoding="utf-8"))
    line = plain["smoothed"]
    smoothed = Line(
        **{name: np.array(line[name], dtype=np.float64) for name in ("middle", "width", "weights")},
        offset=float(line["offset"]),
        limit=float(line["limit"]),
    )
    return Limits(**{name: float(value) for name, value in plain["limits"].items()}, smoothed=smoothed)


def line_features(spectrum: NDArray[np.float64], unevenness: float) -> NDArray[np.float64]:
    """Return what the line reads: the spectrum and the unevenness.

    Parameters
    ----------
    spectrum
        float64 ``[feature]``, from `noise_spectrum`.
    unevenness
        See `GridMeasures`.
    """
    return np.concatenate((spectrum, [unevenness]))
