"""How much a place differs from what authentic scans look like.

First a place is compared with the rest of its own slice: the slice's median, and for the parenchyma also its smooth
trend over position and anatomy, is taken off. What is left is compared with authentic scans: a regression on anatomy
and the spread around it, by tissue, turn it into z-scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.regions import TISSUES
from tamperscan.detect.statistics import COVARIATES, GRID_MM, WindowStatistics
from tamperscan.errors import TrainingError

# More predicted noise than usual is the published direction (the removed residual is larger in synthetic content);
# less of it is evidence too, but authentic scans vary more on that side.
DOWN_WEIGHT = 0.6
# The map is smoothed by this before its peak is taken, so that one window alone makes no finding.
SMOOTHING_MM = 6.0
# Windows that a slice must have for its median, and for its trend, to mean anything.
_LEAST_FOR_MEDIAN = 8
_LEAST_FOR_TREND = 25
_TREND_RIDGE = 0.1
_HUBER = 1.5
_ROBUST_ROUNDS = 6
_MAD_TO_SIGMA = 1.4826
# Constant, covariates and their squares. The squares of row and column add up to that of the radius; singular values
# below this part of the largest are such a sum's rounding errors in float32.
_TERMS = 1 + 2 * len(COVARIATES)
_COLLINEAR = 1e-5
_DETRENDED = ("parenchyma",)

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Typicality:
    """What authentic windows are like.

    Attributes
    ----------
    coefficients
        float64 ``[tissue, term]``: regression of the centred energy on anatomy.
    spread
        float64 ``[tissue]``: root mean square around the regression.
    """

    coefficients: Array
    spread: Array

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "tissues": list(TISSUES),
            "coefficients": self.coefficients.tolist(),
            "spread": self.spread.tolist(),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Typicality:
        """Read what `as_dict` gave.

        Raises
        ------
        ValueError
            If it is of another make.
        """
        coefficients, spread = np.array(plain["coefficients"]), np.array(plain["spread"])
        if plain["tissues"] != list(TISSUES) or spread.shape != (len(TISSUES),) or coefficients.ndim != 2:
            raise ValueError("typicality of other tissues")
        return cls(coefficients, spread)


@dataclass(frozen=True, eq=False)
class Evidence:
    """A slice's evidence on the coarse grid.

    Attributes
    ----------
    suspicion
        float32 ``[row, column]``: smoothed evidence; NaN outside the lung.
    z
        float32 ``[tissue, row, column]``: standard deviations from what is typical, NaN where it is missing.
    centred
        float32 ``[tissue, row, column]``: log energy over that of the rest of the slice.
    """

    suspicion: NDArray[np.float32]
    z: NDArray[np.float32]
    centred: NDArray[np.float32]


def fit_typicality(patients: Iterable[Sequence[WindowStatistics]]) -> Typicality:
    """Learn what is typical from authentic slices.

    Parameters
    ----------
    patients
        The slices of each patient. A patient counts by the square root of its windows, so that long series do not
        drown the others.

    Raises
    ------
    TrainingError
        If some tissue was measured in no window.
    """
    # Without any patient there is still a shape to say in an error.
    terms, centred, weights = [np.empty((0, _TERMS))], [np.empty((0, len(TISSUES)))], [np.empty(0)]
    for slices in patients:
        usable = [statistics for statistics in slices if statistics.inside.any()]
        windows = sum(int(statistics.inside.sum()) for statistics in usable)
        for statistics in usable:
            terms.append(_terms(statistics))
            centred.append(_centred(statistics))
            weights.append(np.full(int(statistics.inside.sum()), windows**-0.5))
    return _regress(np.concatenate(terms), np.concatenate(centred), np.concatenate(weights))


def evidence(statistics: WindowStatistics, typicality: Typicality, spacing_mm: tuple[float, float]) -> Evidence:
    """Turn one slice's measurements into evidence.

    The evidence of a window is the root of the sum of its squared positive z-scores over the tissues (a one-sided
    distance), or `DOWN_WEIGHT` times the same of the negative ones, whichever is larger. A missing tissue counts
    nothing.

    Parameters
    ----------
    statistics
        Of one slice.
    typicality
        What authentic windows are like.
    spacing_mm
        Distance between (rows, columns) of the slice in mm.
    """
    centred = _centred(statistics)
    z = (centred - _terms(statistics) @ typicality.coefficients.T) / typicality.spread
    up, down = _one_sided(z), _one_sided(-z)
    raw = np.where(np.isfinite(z).any(axis=1), np.maximum(up, DOWN_WEIGHT * down), np.nan)
    suspicion = _smooth(_on_grid(raw, statistics.inside), spacing_mm)
    return Evidence(suspicion, _on_grid(z.T, statistics.inside), _on_grid(centred.T, statistics.inside))


def _one_sided(z: Array) -> Array:
    positive = np.where(np.isfinite(z), np.maximum(z, 0.0), 0.0)
    distance: Array = np.sqrt((positive**2).sum(axis=1))
    return distance


def _terms(statistics: WindowStatistics) -> Array:
    """Anatomy as regression terms: constant, covariates and their squares, ``[window, term]``.

    Like the energy they are taken less their median over the slice: an effect of anatomy on one would else be an offset
    of the other.
    """
    covariates = statistics.covariates[:, statistics.inside].T.astype(np.float64)
    varying = np.concatenate((covariates, covariates**2), axis=1)
    if len(varying):
        varying -= np.median(varying, axis=0)
    return np.concatenate((np.ones((len(varying), 1)), varying), axis=1)


def _centred(statistics: WindowStatistics) -> Array:
    """Log energy less that of the rest of the slice, ``[window, tissue]``."""
    energy = statistics.energy[:, statistics.inside].astype(np.float64)
    trend = _trend_terms(statistics)
    columns = [
        _less_the_rest(values, trend if tissue in _DETRENDED else None)
        for tissue, values in zip(TISSUES, energy, strict=True)
    ]
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


def _regress(terms: Array, centred: Array, weights: Array) -> Typicality:
    coefficients, spread = [], []
    for tissue, values in zip(TISSUES, centred.T, strict=True):
        known = np.isfinite(values)
        if not known.any():
            raise TrainingError(f"no window of the scans holds enough '{tissue}' to learn from. Give more scans.")
        root = np.sqrt(weights[known])
        fit = np.linalg.lstsq(terms[known] * root[:, None], values[known] * root, rcond=_COLLINEAR)[0]
        off = values[known] - terms[known] @ fit
        coefficients.append(fit)
        spread.append(np.sqrt(np.average(off**2, weights=weights[known])))
    return Typicality(np.stack(coefficients), np.array(spread))


def _on_grid(values: Array, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Lay values of the windows inside out on the grid, ``[..., row, column]``."""
    grid = np.full((*values.shape[:-1], *inside.shape), np.nan, dtype=np.float32)
    grid[..., inside] = values
    return grid


def _smooth(values: NDArray[np.float32], spacing_mm: tuple[float, float]) -> NDArray[np.float32]:
    """Average over a Gaussian among the windows that have a value."""
    step_mm = max(1, round(GRID_MM / float(np.mean(spacing_mm)))) * float(np.mean(spacing_mm))
    sigma = SMOOTHING_MM / step_mm
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), sigma, mode="constant")
    return np.where(known, total / np.maximum(weight, 1e-3), np.float32(np.nan)).astype(np.float32)
