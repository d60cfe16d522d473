"""Ways from window statistics to evidence: one size or several, one distance or another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.evidence_measuring import SIZES_MM, StudySlice
from tamperscan.detect.centring import anatomy_terms, centre
from tamperscan.detect.regions import TISSUES
from tamperscan.detect.statistics import WINDOW_MM, WindowStatistics
from tamperscan.detect.typicality import fit_typicality, grid_map, one_sided_distance, smooth_map

FOLDS: Final = 5
WINDOWS_A_PATIENT: Final = 800

Array = NDArray[np.float64]
Map = NDArray[np.float32]
Distance = Callable[[Array], Array]
Make = Callable[[Array], Distance]
Chosen = Literal["usual", "with trace", "energy only"]


class Standardised:
    """The z-scores of all slices, each authentic one by a typicality that was fitted without its patient.

    Parameters
    ----------
    slices
        All of the study.
    """

    def __init__(self, slices: Sequence[StudySlice]) -> None:
        self.slices = slices
        names = sorted({each.group for each in slices if each.kind is None})
        self._fold = {name: number % FOLDS for number, name in enumerate(names)}
        self._known: dict[tuple[float, str], list[Array]] = {}

    def fold_of(self, each: StudySlice) -> int | None:
        """Return the fold that leaves a slice's patient out; None for a tampered slice, which all patients judge."""
        return None if each.kind is not None else self._fold[each.group]

    def patients_without(self, fold: int | None) -> list[str]:
        """Return the patients that are learned from where a fold is left out."""
        return [name for name, own in self._fold.items() if own != fold]

    def z_scores(self, size: float, chosen: Chosen = "usual") -> list[Array]:
        """Return ``[window, feature]`` of each slice; 0, as is usual, where a tissue is missing."""
        if chosen == "energy only":
            return [z[:, : len(TISSUES)] for z in self.z_scores(size)]
        if chosen == "with trace":
            traces = [z[:, : len(TISSUES)] for z in self._of("trace", size)]
            usual = self.z_scores(size)
            return [np.concatenate(both, axis=1) for both in zip(usual, traces, strict=True)]
        return self._of("usual", size)

    def inside(self, index: int) -> NDArray[np.bool_]:
        """Return where a slice was measured, on the coarse grid."""
        return self.slices[index].by_size[WINDOW_MM].inside

    def _of(self, what: str, size: float) -> list[Array]:
        if (size, what) not in self._known:
            measured = [_statistics(each, size, what, self.inside(i)) for i, each in enumerate(self.slices)]
            self._known[size, what] = self._score(measured)
        return self._known[size, what]

    def _score(self, measured: Sequence[WindowStatistics]) -> list[Array]:
        folds = [self.fold_of(each) for each in self.slices]
        fits = {
            fold: fit_typicality(
                [
                    [one for one, each in zip(measured, self.slices, strict=True) if each.group == name]
                    for name in self.patients_without(fold)
                ]
            )
            for fold in (None, *range(FOLDS))
        }
        return [
            np.nan_to_num(fits[fold].z_scores(centre(one), anatomy_terms(one)))
            for one, fold in zip(measured, folds, strict=True)
        ]


def _statistics(each: StudySlice, size: float, what: str, inside: NDArray[np.bool_]) -> WindowStatistics:
    """Return a slice's statistics at the same places for all sizes; the trace in the place of the energy."""
    measured = replace(each.by_size[size], inside=inside)
    return measured if what == "usual" else replace(measured, energy=each.traces[size])


def one_size(scores: Standardised, size: float = WINDOW_MM, chosen: Chosen = "usual") -> list[Map]:
    """Return the packaged way's evidence, float32 ``[row, column]`` of each slice, with windows of one size."""
    return [_map(scores, index, one_sided_distance(z)) for index, z in enumerate(scores.z_scores(size, chosen))]


def over_sizes(scores: Standardised, join: Literal["max", "mean"]) -> list[Map]:
    """Return a scan statistic: evidence of windows of all sizes, each in the unit of authentic slices, joined."""
    units = [_in_units(scores, one_size(scores, size)) for size in SIZES_MM]
    joined = [np.stack(same) for same in zip(*units, strict=True)]
    return [np.asarray(each.max(axis=0) if join == "max" else each.mean(axis=0), np.float32) for each in joined]


def by_distance(scores: Standardised, make: Make) -> list[Map]:
    """Return evidence by a distance that is fitted to authentic windows' z-scores, patients counting alike."""
    z = scores.z_scores(WINDOW_MM)
    fitted = {fold: make(_windows(scores, z, fold)) for fold in (None, *range(FOLDS))}
    folds = [scores.fold_of(each) for each in scores.slices]
    return [_map(scores, index, fitted[fold](z[index])) for index, fold in enumerate(folds)]


def mahalanobis(values: Array) -> Distance:
    """Fit a two-sided distance by mean and covariance."""
    middle = values.mean(axis=0)
    precision = np.linalg.inv(np.cov(values.T) + 1e-3 * np.eye(values.shape[1]))
    return lambda z: np.asarray(np.sqrt(np.einsum("wi,ij,wj->w", z - middle, precision, z - middle)))


def mixture(values: Array) -> Distance:
    """Fit a mixture of eight Gaussians; the distance is the root of twice the negative log-likelihood."""
    from sklearn.mixture import GaussianMixture

    fitted = GaussianMixture(8, reg_covar=1e-2, random_state=0, max_iter=60).fit(values)
    return lambda z: np.asarray(np.sqrt(np.maximum(-2.0 * fitted.score_samples(z), 0.0)))


def neighbours(values: Array) -> Distance:
    """Take the mean distance to the ten nearest authentic windows."""
    from sklearn.neighbors import NearestNeighbors

    known = NearestNeighbors(n_neighbors=10).fit(values)
    return lambda z: np.asarray(known.kneighbors(z)[0].mean(axis=1))


def distances() -> Mapping[str, Make]:
    """Return the distances by name."""
    from tamperscan.bench.evidence_flow import fit_flow

    return {
        "Mahalanobis distance": mahalanobis,
        "mixture of eight Gaussians": mixture,
        "ten nearest neighbours": neighbours,
        "normalising flow": fit_flow,
    }


def _windows(scores: Standardised, z: Sequence[Array], fold: int | None) -> Array:
    generator = np.random.default_rng(0)
    chosen = []
    for name in scores.patients_without(fold):
        own = np.concatenate([z[index] for index, each in enumerate(scores.slices) if each.group == name])
        chosen.append(own[generator.permutation(len(own))[:WINDOWS_A_PATIENT]])
    return np.concatenate(chosen)


def _map(scores: Standardised, index: int, values: Array) -> Map:
    return smooth_map(grid_map(values, scores.inside(index)), scores.slices[index].spacing_mm)


def _in_units(scores: Standardised, maps: Sequence[Map]) -> list[Map]:
    """Centre and scale by the highest values of authentic slices."""
    highest = [np.nanmax(each) for each, own in zip(maps, scores.slices, strict=True) if own.kind is None]
    return [np.asarray((each - np.median(highest)) / np.std(highest), np.float32) for each in maps]
