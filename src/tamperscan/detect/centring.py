"""What a place differs by from the rest of its own slice.

Noise differs by scanner, dose and kernel, so the slice's median is taken off each statistic, and for the parenchyma
also its smooth trend over position and anatomy.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.regions import TISSUES
from tamperscan.detect.statistics import COVARIATES, WindowStatistics

# Constant, covariates and their squares.
TERMS = 1 + 2 * len(COVARIATES)
# What is compared: each statistic of each tissue.
STATISTICS = ("energy", "whiteness")
FEATURES = tuple((statistic, tissue) for statistic in STATISTICS for tissue in TISSUES)
# Windows that a slice must have for its median, and for its trend, to mean anything.
_LEAST_FOR_MEDIAN = 8
_LEAST_FOR_TREND = 25
_TREND_RIDGE = 0.1
_HUBER = 1.5
_ROBUST_ROUNDS = 6
_MAD_TO_SIGMA = 1.4826
_DETRENDED = ("parenchyma",)

Array = NDArray[np.float64]


def anatomy_terms(statistics: WindowStatistics) -> Array:
    """Return anatomy as regression terms: constant, covariates and their squares, ``[window, term]``.

    Like the statistics they are taken less their median over the slice: an effect of anatomy on one would else be an
    offset of the other.
    """
    covariates = statistics.covariates[:, statistics.inside].T.astype(np.float64)
    varying = np.concatenate((covariates, covariates**2), axis=1)
    if len(varying):
        varying -= np.median(varying, axis=0)
    return np.concatenate((np.ones((len(varying), 1)), varying), axis=1)


def centre(statistics: WindowStatistics) -> Array:
    """Return each of `FEATURES` less that of the rest of the slice, ``[window, feature]``; NaN where it is missing."""
    trend = _trend_terms(statistics)
    columns = []
    for statistic, tissue in FEATURES:
        values = getattr(statistics, statistic)[TISSUES.index(tissue), statistics.inside].astype(np.float64)
        columns.append(_less_the_rest(values, trend if tissue in _DETRENDED else None))
    return np.stack(columns, axis=1)


def _trend_terms(statistics: WindowStatistics) -> Array:
    """Smooth functions of position and anatomy, standardised within the slice, ``[window, term]``."""
    parenchyma, _, density, slope, row, column, _, depth = statistics.covariates[:, statistics.inside].astype(
        np.float64
    )
    terms = np.stack((row, column, row**2, column**2, row * column, depth, parenchyma, density, slope), axis=1)
    terms -= np.median(terms, axis=0)
    terms /= terms.std(axis=0) + 1e-6
    return np.concatenate((np.ones((len(terms), 1)), terms), axis=1)


def _less_the_rest(values: Array, trend: Array | None) -> Array:
    """Take off the median, or a robust trend where there are windows enough for one; NaN stays NaN."""
    known = np.isfinite(values)
    left = np.full(values.shape, np.nan)
    if known.sum() < _LEAST_FOR_MEDIAN:
        return left
    left[known] = values[known] - np.median(values[known])
    if trend is not None and known.sum() >= _LEAST_FOR_TREND:
        left[known] -= trend[known] @ _robust_fit(trend[known], left[known])
    return left


def _robust_fit(terms: Array, values: Array) -> Array:
    """Fit by ridge regression with Huber's weights, so that a tampered place does not bend the trend to itself."""
    ridge = np.eye(terms.shape[1]) * _TREND_RIDGE * len(values)
    ridge[0, 0] = 0.0
    fit = np.zeros(terms.shape[1])
    for _ in range(_ROBUST_ROUNDS):
        off = np.abs(values - terms @ fit)
        weights = 1.0 / np.maximum(1.0, off / (_HUBER * (_MAD_TO_SIGMA * np.median(off) + 1e-9)))
        weighted = terms * weights[:, None]
        fit = np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ values)
    return fit
