"""Calibration scans that score so high that they had better be looked at before they count as authentic.

A tampered study among a site's own would hide others like it: with one in twenty, no score is rarer than one in twenty.
The largest of many scores follows the Gumbel law of maxima (Gumbel, Statistics of Extremes, 1958). It is fitted to the
lower scores alone, which a few tampered studies can't move, by regression on the plotting positions of Gringorten
(J. Geophys. Res. 68, 1963).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

# The law is fitted to this part of the scores, the lower ones.
_LOWER = 0.8
# At most this part of the scores is set aside.
_AT_MOST = 0.1
# In this part of authentic calibrations whose scores follow the law anything is set aside.
_CHANCE = 0.2
_LEAST = 10

Array = NDArray[np.float64]


def outlying(scores: Array) -> list[int]:
    """Return the indices of outlying high scores, highest first; at most a tenth of all, none of fewer than ten.

    Parameters
    ----------
    scores
        float64 ``[patient]``, finite.
    """
    count = len(scores)
    if count < _LEAST:
        return []
    mode, scale = fit_lower(scores)
    chances = -np.expm1(-np.exp(-(scores - mode) / scale))
    highest = np.argsort(scores)[::-1][: int(_AT_MOST * count)]
    return [int(index) for index in highest if chances[index] < _CHANCE / count]


def fit_lower(scores: Array) -> tuple[float, float]:
    """Fit the Gumbel law to the lower four fifths of the scores.

    Returns
    -------
    tuple of float
        Mode and scale.
    """
    ascending, count = np.sort(scores), len(scores)
    positions = (np.arange(1, count + 1) - 0.44) / (count + 0.12)
    reduced = -np.log(-np.log(positions))
    used = max(3, math.floor(_LOWER * count))
    scale, mode = np.polyfit(reduced[:used], ascending[:used], 1)
    return float(mode), max(float(scale), 1e-9)
