"""Chooses the limits of `tamperscan.detect.processing` on authentic patients, untreated and treated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.robustness.filters import blurred
from tamperscan.bench.robustness.geometry import resampled
from tamperscan.bench.robustness.subjects import TestSlice
from tamperscan.bench.robustness.treatments import TREATMENTS, UNTREATED, Treatment, treat
from tamperscan.detect.noise_spectrum import noise_spectrum
from tamperscan.detect.processing_limits import line_features
from tamperscan.detect.processing_measures import GridMeasures, grid_measures, middle

# What the line is taught to tell from untreated slices. Added noise is not among it: neither a line nor the noise of
# air beside that of tissue tells it from a sharp kernel.
TAUGHT: Final[Mapping[str, Treatment]] = {
    each.name: each
    for each in (
        *(
            Treatment(f"blurred-{sigma}", f"Gaussian blur, {sigma} pixels", partial(blurred, sigma_px=sigma))
            for sigma in (0.8, 1.0, 1.3, 1.7)
        ),
        *(
            Treatment(f"reduced-{factor}", f"resampled by {factor} and back", partial(resampled, factor=factor))
            for factor in (0.35, 0.42, 0.5, 0.6)
        ),
        TREATMENTS["denoised"],
    )
}
_RIDGE: Final = 0.5
# Limits lie well between untreated slices and treated ones; see the docs for both sides.
LIMITS: Final = {
    "comb": 0.5,
    "blocks": 0.05,
    "wavelet": 0.09,
    "repetition": 1.55,
    "unevenness": 0.7,
}
# Log-odds beyond the highest of any patient left out.
_MARGIN: Final = 0.5
_ROUNDS: Final = 40
_LEAST_WIDTH: Final = 1e-3
_SLICES_A_SERIES: Final = 5

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Studied:
    """What was measured in slices with one treatment.

    Attributes
    ----------
    groups
        The patient of each slice.
    grids
        Grid measures of each slice.
    features
        float64 ``[slice, feature]``, of `line_features`.
    """

    groups: Sequence[str]
    grids: Sequence[GridMeasures]
    features: Array


def thinned(subjects: Sequence[TestSlice]) -> list[TestSlice]:
    """Keep at most five slices of a series, evenly spread."""
    if len(subjects) <= _SLICES_A_SERIES:
        return list(subjects)
    chosen = np.linspace(0, len(subjects) - 1, _SLICES_A_SERIES).round().astype(int)
    return [subjects[index] for index in chosen]


def study(subjects: Sequence[TestSlice], treatment: Treatment) -> Studied:
    """Measure slices after a treatment; those with too little tissue for a spectrum are left out."""
    groups, grids, features = [], [], []
    for subject in subjects:
        part = middle(treat(treatment, subject))
        grid, spectrum = grid_measures(part), noise_spectrum(part)
        if spectrum is not None:
            groups.append(subject.group)
            grids.append(grid)
            features.append(line_features(spectrum, grid.unevenness))
    return Studied(groups, grids, np.stack(features))


def choose(studied: Mapping[str, Studied]) -> dict[str, Any]:
    """Fit the line and set its limit.

    Parameters
    ----------
    studied
        By treatment; `UNTREATED` and those of `TAUGHT` must be there.

    Returns
    -------
    dict
        What the packaged file holds, but for how it was made.
    """
    left_out = {name: _left_out(studied, name) for name in (UNTREATED.name, *TAUGHT)}
    limit = max(left_out[UNTREATED.name].values()) + _MARGIN
    everyone = np.ones(len(studied[UNTREATED.name].groups), dtype=bool)
    return {
        "limits": LIMITS,
        "smoothed": {**_fit(studied, everyone), "limit": round(limit, 3)},
        "left_out_patients_recognised": {name: _share(scores.values(), limit) for name, scores in left_out.items()},
    }


def extremes(studied: Mapping[str, Studied]) -> dict[str, dict[str, list[float]]]:
    """Return the (lowest, highest) of each grid measure by treatment."""
    return {
        name: {
            measure: [
                round(float(edge([getattr(grid, measure) for grid in one.grids])), 3) for edge in (np.nanmin, np.nanmax)
            ]
            for measure in LIMITS
        }
        for name, one in studied.items()
    }


def _left_out(studied: Mapping[str, Studied], treatment: str) -> dict[str, float]:
    """Return each patient's median log-odds after a treatment, by a line that never saw the patient."""
    scores = {}
    one = studied[treatment]
    for patient in dict.fromkeys(studied[UNTREATED.name].groups):
        keep = np.array([group != patient for group in studied[UNTREATED.name].groups])
        line = _fit(studied, keep)
        own = one.features[[group == patient for group in one.groups]]
        standard = (own - line["middle"]) / np.array(line["width"])
        scores[patient] = float(np.median(standard @ np.array(line["weights"]) + line["offset"]))
    return scores


def _fit(studied: Mapping[str, Studied], keep: NDArray[np.bool_]) -> dict[str, Any]:
    """Fit a ridge logistic regression in which patients count alike, and treatments too."""
    untreated = studied[UNTREATED.name]
    base = untreated.features[keep]
    middle_of, width = base.mean(axis=0), base.std(axis=0) + _LEAST_WIDTH
    patients = np.array(untreated.groups)[keep]
    weight = 1.0 / np.array([(patients == patient).sum() for patient in patients])
    treated = [studied[name].features[keep] for name in TAUGHT]
    inputs = (np.concatenate([base, *treated]) - middle_of) / width
    inputs = np.concatenate((inputs, np.ones((len(inputs), 1))), axis=1)
    wanted = np.concatenate((np.zeros(len(base)), np.ones(len(inputs) - len(base))))
    weights = np.concatenate((weight, *[weight / len(TAUGHT)] * len(TAUGHT)))
    fitted = _logistic(inputs, wanted, weights)
    numbers = {"middle": middle_of, "width": width, "weights": fitted[:-1]}
    return {
        **{name: values.round(5).tolist() for name, values in numbers.items()},
        "offset": round(float(fitted[-1]), 5),
    }


def _logistic(inputs: Array, wanted: Array, weights: Array) -> Array:
    """Newton's method; the last column, the offset, is not shrunk."""
    shrink = _RIDGE * np.diag([*np.ones(inputs.shape[1] - 1), 1e-9])
    fitted = np.zeros(inputs.shape[1])
    for _ in range(_ROUNDS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(inputs @ fitted, -30.0, 30.0)))
        slope = inputs.T @ (weights * (chance - wanted)) + shrink @ fitted
        curve = (inputs * (weights * chance * (1.0 - chance))[:, None]).T @ inputs + shrink
        fitted -= np.linalg.solve(curve, slope)
    return fitted


def _share(scores: Iterable[float], limit: float) -> float:
    above = [score > limit for score in scores]
    return round(sum(above) / len(above), 3)
