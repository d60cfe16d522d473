"""How much a place differs from what authentic scans look like.

First a place is compared with the rest of its own slice (`centring`). What is left is compared with authentic scans: a
regression on anatomy says what is to be expected, and another by how much authentic scans differ from that there. The
lung's border, the surroundings of the heart and the neighbourhood of vessels vary more than the rest, and a spread of
one size would fill the list of findings with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.centring import FEATURES, TERMS, anatomy_terms, centre
from tamperscan.detect.statistics import GRID_MM, WindowStatistics
from tamperscan.errors import TrainingError

# More predicted noise than usual is the published direction (the removed residual is larger in synthetic content), and
# whiter noise is the side of more; the other side is evidence too, but authentic scans vary more there.
DOWN_WEIGHT = 0.6
# The map is smoothed by this before its peak is taken, so that one window alone makes no finding.
SMOOTHING_MM = 6.0
# The squares of row and column add up to that of the radius; singular values below this part of the largest are such a
# sum's rounding errors in float32.
_COLLINEAR = 1e-5
# Ridge of the regression for the spread, whose terms are standardised. Deviations near zero are raised by this part of
# the root mean square before their log is taken; and no place counts as more or less variable than all but this part
# of the authentic windows.
_SPREAD_RIDGE = 0.02
_LEAST_DEVIATION = 0.05
_EXTREME_PLACES = 0.01
_THINNING = 2

Array = NDArray[np.float64]
_learned_from: WeakKeyDictionary[WindowStatistics, tuple[Array, Array]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Typicality:
    """What authentic windows are like; features are those of `centring.FEATURES`.

    Attributes
    ----------
    coefficients
        float64 ``[feature, term]``: regression of the centred statistics on anatomy.
    spread
        float64 ``[feature, term]``: regression of the log of the standard deviation around it on the same anatomy.
    spread_limits
        float64 ``[feature, 2]``: least and largest log of the standard deviation.
    """

    coefficients: Array
    spread: Array
    spread_limits: Array

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "features": [list(feature) for feature in FEATURES],
            "coefficients": self.coefficients.tolist(),
            "spread": self.spread.tolist(),
            "spread_limits": self.spread_limits.tolist(),
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Typicality:
        """Read what `as_dict` gave.

        Raises
        ------
        ValueError
            If it is of another make.
        """
        names = ("coefficients", "spread", "spread_limits")
        shapes = [(len(FEATURES), TERMS)] * 2 + [(len(FEATURES), 2)]
        if plain.get("features") != [list(feature) for feature in FEATURES]:
            raise ValueError("typicality of other statistics")
        arrays = [np.array(plain[name], dtype=np.float64) for name in names]
        if [array.shape for array in arrays] != shapes:
            raise ValueError("typicality of other statistics")
        return cls(*arrays)

    def z_scores(self, centred: Array, terms: Array) -> Array:
        """Return standard deviations from what is typical, ``[window, feature]``."""
        scale = np.exp(np.clip(terms @ self.spread.T, *self.spread_limits.T))
        z: Array = (centred - terms @ self.coefficients.T) / scale
        return z


@dataclass(frozen=True, eq=False)
class Evidence:
    """A slice's evidence on the coarse grid; features are those of `centring.FEATURES`.

    Attributes
    ----------
    suspicion
        float32 ``[row, column]``: smoothed evidence; NaN outside the lung.
    z
        float32 ``[feature, row, column]``: standard deviations from what is typical, NaN where it is missing.
    centred
        float32 ``[feature, row, column]``: log energy, or whiteness, over that of the rest of the slice.
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
    return fit_windows([windows_of(slices) for slices in patients])


@dataclass(frozen=True, eq=False)
class PatientWindows:
    """Windows of one patient to learn from, or a sample of them.

    Attributes
    ----------
    terms
        float64 ``[window, term]``: anatomy.
    centred
        float64 ``[window, feature]``: what is to be expected there.
    windows
        How many there were before a sample was drawn.
    """

    terms: Array
    centred: Array
    windows: int

    def some(self, count: int, rng: np.random.Generator) -> PatientWindows:
        """Draw so many of the windows, none twice, in their order; all where there are no more."""
        if count >= len(self.terms):
            return self
        chosen = np.sort(rng.choice(len(self.terms), count, replace=False))
        return PatientWindows(self.terms[chosen], self.centred[chosen], self.windows)


def windows_of(slices: Iterable[WindowStatistics]) -> PatientWindows:
    """Return what can be learned from a patient's slices."""
    chosen = [_windows_to_learn_from(statistics) for statistics in slices if statistics.inside.any()]
    return joined([PatientWindows(terms, centred, len(terms)) for terms, centred in chosen])


def joined(parts: Sequence[PatientWindows]) -> PatientWindows:
    """Join the windows of a patient's slices or scans."""
    # Without any there is still a shape to say in an error.
    terms = np.concatenate([np.empty((0, TERMS)), *(part.terms for part in parts)])
    centred = np.concatenate([np.empty((0, len(FEATURES))), *(part.centred for part in parts)])
    return PatientWindows(terms, centred, sum(part.windows for part in parts))


def fit_windows(patients: Sequence[PatientWindows]) -> Typicality:
    """Learn what is typical from authentic windows.

    Parameters
    ----------
    patients
        The windows of each patient, weighed as `fit_typicality` says; a sample weighs as much as what it was drawn of.

    Raises
    ------
    TrainingError
        If some tissue was measured in no window.
    """
    every = joined(patients)
    known = [patient for patient in patients if len(patient.terms)]
    weights = [np.full(len(each.terms), each.windows**-0.5 * (each.windows / len(each.terms))) for each in known]
    return _regress(every.terms, every.centred, np.concatenate([np.empty(0), *weights]))


def _windows_to_learn_from(statistics: WindowStatistics) -> tuple[Array, Array]:
    """Return the terms and the centred statistics of every second row and column of windows: they overlap."""
    # Calibration leaves out one patient at a time, and so learns from the same slices again and again.
    if statistics not in _learned_from:
        grid = np.zeros(statistics.inside.shape, dtype=bool)
        grid[::_THINNING, ::_THINNING] = True
        chosen = grid[statistics.inside]
        _learned_from[statistics] = anatomy_terms(statistics)[chosen], centre(statistics)[chosen]
    return _learned_from[statistics]


def evidence(statistics: WindowStatistics, typicality: Typicality, spacing_mm: tuple[float, float]) -> Evidence:
    """Turn one slice's measurements into evidence.

    The evidence of a window is the root of the sum of its squared positive z-scores over tissues and statistics (a
    one-sided distance), or `DOWN_WEIGHT` times the same of the negative ones, whichever is larger. A missing tissue
    counts nothing.

    Parameters
    ----------
    statistics
        Of one slice.
    typicality
        What authentic windows are like.
    spacing_mm
        Distance between (rows, columns) of the slice in mm.
    """
    centred = centre(statistics)
    z = typicality.z_scores(centred, anatomy_terms(statistics))
    raw = np.where(np.isfinite(z).any(axis=1), one_sided_distance(z), np.nan)
    suspicion = smooth_map(grid_map(raw, statistics.inside), spacing_mm)
    return Evidence(suspicion, grid_map(z.T, statistics.inside), grid_map(centred.T, statistics.inside))


def one_sided_distance(z: Array) -> Array:
    """Return the distance of z-scores ``[window, feature]`` from what is typical; see `evidence`."""
    distance: Array = np.maximum(_above(z), DOWN_WEIGHT * _above(-z))
    return distance


def _above(z: Array) -> Array:
    positive = np.where(np.isfinite(z), np.maximum(z, 0.0), 0.0)
    distance: Array = np.sqrt((positive**2).sum(axis=1))
    return distance


def _regress(terms: Array, centred: Array, weights: Array) -> Typicality:
    rows = []
    for (statistic, tissue), values in zip(FEATURES, centred.T, strict=True):
        known = np.isfinite(values)
        if not known.any():
            raise TrainingError(
                f"no window of the scans holds enough '{tissue}' to learn its {statistic} from. Give more scans."
            )
        root = np.sqrt(weights[known])
        fit = np.linalg.lstsq(terms[known] * root[:, None], values[known] * root, rcond=_COLLINEAR)[0]
        rows.append((fit, *_spread(terms[known], values[known] - terms[known] @ fit, weights[known])))
    coefficients, spread, limits = (np.stack(column) for column in zip(*rows, strict=True))
    return Typicality(coefficients, spread, limits)


def _spread(terms: Array, off: Array, weights: Array) -> tuple[Array, Array]:
    """Fit the log of the standard deviation to anatomy, by the logs of the deviations; with its limits.

    The mean of such logs is that of the log of the standard deviation but for a constant, which is set so that the mean
    square of the standardised deviations is one (Harvey, Econometrica 44, 1976).
    """
    weights = weights / weights.sum()
    overall = np.sqrt(weights @ off**2) + 1e-12
    logs = np.log(np.abs(off) / overall + _LEAST_DEVIATION)
    middle = weights @ terms[:, 1:]
    width = np.sqrt(weights @ (terms[:, 1:] - middle) ** 2) + 1e-9
    standard = np.concatenate((np.ones((len(terms), 1)), (terms[:, 1:] - middle) / width), axis=1)
    ridge = np.diag([0.0, *np.full(standard.shape[1] - 1, _SPREAD_RIDGE)])
    weighted = (standard * weights[:, None]).T
    fit = np.linalg.solve(weighted @ standard + ridge, weighted @ logs)
    predicted = standard @ fit
    limits = np.quantile(predicted, (_EXTREME_PLACES, 1 - _EXTREME_PLACES))
    shift = 0.5 * np.log(weights @ (off / np.exp(np.clip(predicted, *limits))) ** 2 + 1e-24)
    slopes = fit[1:] / width
    return np.array([fit[0] + shift - slopes @ middle, *slopes]), limits + shift


def grid_map(values: Array, inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Lay values of the windows inside out on the coarse grid, ``[..., row, column]``; NaN elsewhere."""
    grid = np.full((*values.shape[:-1], *inside.shape), np.nan, dtype=np.float32)
    grid[..., inside] = values
    return grid


def smooth_map(values: NDArray[np.float32], spacing_mm: tuple[float, float]) -> NDArray[np.float32]:
    """Average over a Gaussian among the windows that have a value."""
    step_mm = max(1, round(GRID_MM / float(np.mean(spacing_mm)))) * float(np.mean(spacing_mm))
    sigma = SMOOTHING_MM / step_mm
    known = np.isfinite(values)
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), sigma, mode="constant")
    return np.where(known, total / np.maximum(weight, 1e-3), np.float32(np.nan)).astype(np.float32)
