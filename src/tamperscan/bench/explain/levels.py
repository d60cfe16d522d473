"""The score as a function of the noise level: how far a place stands out of the rest of its slice.

At each level the energy of the predicted noise is measured as the detector measures it (`window_statistics`), but one
level and one tissue at a time. The place is then compared with all places of its slice far from any tampering.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.explain.averages import geometric_means, means
from tamperscan.bench.explain.predictors import Maps, Predict
from tamperscan.bench.explain.subjects import Subject
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.places import Map, Mask, disc_mean, far_from, grid_places
from tamperscan.detect.regions import TISSUES
from tamperscan.detect.statistics import grid_step, window_statistics
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.scan.windows import PUBLISHED_CT

LEVELS_HU: Final = (3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 26.0, 36.0, 50.0, 70.0, 90.0, 120.0)
"""Over the whole range that the network was trained at."""

SHOWN_TISSUES: Final = ("parenchyma", "soft")
PUBLISHED_WINDOW, HIGH_PASS = "published window", "high-pass"
# Of all untampered places a tenth stands so high, and a tenth so low.
TAIL: Final = 0.1
# Fewer other places say nothing of where one stands among them.
_LEAST_REST = 8
_HIGH_PASS_MM = 1.0
_HIGH_PASS_HU = 20.0

Report = Callable[[int, int], None]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Standing:
    """How places stand out of the rest of their slices at one noise level.

    Attributes
    ----------
    asked
        ``"15 HU"``, `PUBLISHED_WINDOW` or `HIGH_PASS`.
    level_hu
        The noise level; NaN for the high-pass, which knows none.
    places, scans
        How many were measured.
    auc
        Mean share of the slice's other places with less energy; 0.5 is nothing, below it the place has less.
    z
        Mean distance from the others' mean in their standard deviations.
    times
        Geometric mean of the place's energy over the others' median.
    above, below
        Share of places in the highest, and in the lowest, tenth of their slice.
    """

    asked: str
    level_hu: float
    places: int
    scans: int
    auc: Estimate
    z: Estimate
    times: Estimate
    above: Estimate
    below: Estimate


@dataclass(frozen=True)
class Sweep:
    """One kind of place and one tissue over the noise levels.

    Attributes
    ----------
    kind
        As of the subjects.
    tissue
        In which the energy was taken.
    levels
        One for each of the levels.
    published
        At the published level, with what the published window cuts off cut off.
    high_pass
        The image's own high-pass in place of the predicted noise: what is there to see without a network.
    """

    kind: str
    tissue: str
    levels: tuple[Standing, ...]
    published: Standing
    high_pass: Standing


def published_level_hu() -> float:
    """Return the noise level that the published first step stands for: sigmoid schedule, window -700 to 2000 HU."""
    return noise_schedule("sigmoid", 1000).sigma_in_units(0, PUBLISHED_CT.units_per_model_unit)


def sweep(
    subjects: Sequence[Subject],
    predict: Predict,
    *,
    levels_hu: Sequence[float] = LEVELS_HU,
    tissues: Sequence[str] = SHOWN_TISSUES,
    report: Report = lambda *_: None,
) -> tuple[Sweep, ...]:
    """Measure how the places of each kind stand out, tissue by tissue.

    Parameters
    ----------
    subjects
        Places of any kinds.
    predict
        The noise predictor.
    levels_hu
        Noise levels.
    tissues
        Which of `SHOWN_TISSUES`.
    report
        Called with (places done, places in all).
    """
    standings = []
    for done, subject in enumerate(subjects, start=1):
        standings.append(stand_out(subject, predict, levels_hu))
        report(done, len(subjects))
    found = []
    for kind in dict.fromkeys(subject.kind for subject in subjects):
        chosen = [index for index, subject in enumerate(subjects) if subject.kind == kind]
        groups = [subjects[index].group for index in chosen]
        values = np.stack([standings[index] for index in chosen])
        found += [_summed_up(kind, tissue, values, groups, levels_hu) for tissue in tissues]
    return tuple(found)


def stand_out(subject: Subject, predict: Predict, levels_hu: Sequence[float] = LEVELS_HU) -> Array:
    """Compare one place with the rest of its slice.

    Returns
    -------
    float64 ``[asked, tissue, measure]``: the levels, then the published window, then the high-pass; tissues as in
    `SHOWN_TISSUES`; measures are the share of the rest with less energy, the z-score, and the log of the energy over
    the rest's median. NaN where the place or the rest lacks the tissue.
    """
    maps = _maps(subject, predict, levels_hu)
    step = grid_step(subject.spacing_mm)
    return np.stack([_measures(subject, noise, step) for noise in maps])


def _maps(subject: Subject, predict: Predict, levels_hu: Sequence[float]) -> Maps:
    clipped = np.clip(subject.hu, PUBLISHED_CT.low, PUBLISHED_CT.high)
    sigma = [_HIGH_PASS_MM / side for side in subject.spacing_mm]
    high_pass = (subject.hu - ndimage.gaussian_filter(subject.hu, sigma)) / np.float32(_HIGH_PASS_HU)
    published = predict(clipped, (published_level_hu(),))
    return np.concatenate((predict(subject.hu, levels_hu), published, high_pass[None]))


def _measures(subject: Subject, noise: Map, step: int) -> Array:
    statistics = window_statistics(subject.hu, noise[None], subject.lung, subject.classes, subject.spacing_mm)
    by_tissue = dict(zip(TISSUES, statistics.energy, strict=True))
    return np.array([_against_rest(subject, by_tissue[name], statistics.inside, step) for name in SHOWN_TISSUES])


def _against_rest(subject: Subject, energy: Map, inside: Mask, step: int) -> tuple[float, float, float]:
    """Compare the mean log energy around the place with that around others, on the coarse grid."""
    known = inside & np.isfinite(energy)
    cell_mm = (subject.spacing_mm[0] * step, subject.spacing_mm[1] * step)
    coarse = [(row // step, column // step) for row, column in subject.known]
    rest = far_from(coarse, (energy.shape[0], energy.shape[1]), cell_mm)
    here = disc_mean(energy, known, (subject.place[0] // step, subject.place[1] // step), cell_mm)
    others = np.array([disc_mean(energy, known, place, cell_mm) for place in grid_places(known & rest, cell_mm)])
    if math.isnan(here) or others.size < _LEAST_REST:
        return math.nan, math.nan, math.nan
    share = float(np.mean((others < here) + 0.5 * (others == here)))
    return share, float((here - others.mean()) / others.std()), float(here - np.median(others))


def _summed_up(kind: str, tissue: str, values: Array, groups: Sequence[str], levels_hu: Sequence[float]) -> Sweep:
    one = values[:, :, SHOWN_TISSUES.index(tissue)]
    asked = [(f"{level:g} HU", level) for level in levels_hu]
    asked += [(PUBLISHED_WINDOW, published_level_hu()), (HIGH_PASS, math.nan)]
    share, z, log_times = np.moveaxis(one, 2, 0)
    known = np.isfinite(share)
    above, below = (np.where(known, tail, np.nan) for tail in (share > 1.0 - TAIL, share < TAIL))
    columns = [means(measure, groups) for measure in (share, z, above, below)]
    standings = [
        Standing(
            asked=name,
            level_hu=level,
            places=int(measured.sum()),
            scans=len({group for group, is_known in zip(groups, measured, strict=True) if is_known}),
            auc=auc,
            z=distance,
            times=times,
            above=high,
            below=low,
        )
        for (name, level), measured, auc, distance, high, low, times in zip(
            asked, known.T, *columns, geometric_means(log_times, groups), strict=True
        )
    ]
    *levels, published, high_pass = standings
    return Sweep(kind, tissue, tuple(levels), published, high_pass)
