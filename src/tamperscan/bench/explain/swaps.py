"""What makes the score rise and fall: the fine structure of healthy places exchanged for others, all else unchanged.

In a square of 32 mm the residual of the parenchyma (image less low-pass) is replaced by one that differs from it in one
respect only: its strength, its phases, or its spectrum. Nothing here was tampered with by anybody, and nothing was
fitted to tampered scans; the variants are round numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from tamperscan.bench.explain.averages import geometric_means
from tamperscan.bench.explain.levels import LEVELS_HU
from tamperscan.bench.explain.predictors import Predict
from tamperscan.bench.explain.spectra import residual
from tamperscan.bench.explain.subjects import HALF_MM, Subject, square
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.places import Map

Change = Callable[[Map, np.random.Generator], Map]
Report = Callable[[int, int], None]

_HALF = np.float32(0.5)
# What the network sees around the square.
_MARGIN_PX = 40


@dataclass(frozen=True)
class Swap:
    """What one exchange does to the energy of the predicted noise.

    Attributes
    ----------
    name
        One of `CHANGES`.
    places, patients
        How many places were altered.
    times
        Energy after over energy before, geometric mean, for each of the levels.
    power
        The same for the power of the residual itself.
    """

    name: str
    places: int
    patients: int
    times: tuple[Estimate, ...]
    power: Estimate


def random_phases(values: Map, rng: np.random.Generator) -> Map:
    """Return values of the same power spectrum and random phases (Theiler et al. 1992, Physica D 58, section 2.4.1).

    Parameters
    ----------
    values
        float32 ``[row, column]``.
    rng
        The random generator.
    """
    noise = np.fft.fft2(rng.standard_normal(values.shape))
    spectrum = np.abs(np.fft.fft2(values)) * noise / np.abs(noise)
    changed: Map = np.fft.ifft2(spectrum).real.astype(np.float32)
    return changed


def _white(values: Map, rng: np.random.Generator) -> Map:
    noise: Map = (values.std() * rng.standard_normal(values.shape)).astype(np.float32)
    return noise


CHANGES: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "none left": lambda values, rng: np.zeros_like(values),
        "half as strong": lambda values, rng: _HALF * values,
        "same spectrum, random phases": random_phases,
        "half, and half as strong white noise": lambda values, rng: _HALF * (values + _white(values, rng)),
        "white noise as strong": _white,
    }
)
"""How the residual of a place is changed, by name."""


def swaps(
    subjects: Sequence[Subject],
    predict: Predict,
    *,
    levels_hu: Sequence[float] = LEVELS_HU,
    report: Report = lambda *_: None,
) -> tuple[Swap, ...]:
    """Exchange the residual of healthy places and measure what the energy of the predicted noise does.

    Parameters
    ----------
    subjects
        Healthy places.
    predict
        The noise predictor.
    levels_hu
        Noise levels.
    report
        Called with (places done, places in all).
    """
    logs = []
    for done, subject in enumerate(subjects, start=1):
        logs.append(_log_times(subject, predict, levels_hu))
        report(done, len(subjects))
    if not logs:
        return ()
    groups = [subject.group for subject in subjects]
    found = []
    for name in CHANGES:
        *times, power = geometric_means([one[name] for one in logs], groups)
        found.append(Swap(name, len(groups), len(set(groups)), tuple(times), power))
    return tuple(found)


def _log_times(subject: Subject, predict: Predict, levels_hu: Sequence[float]) -> dict[str, list[float]]:
    """Return for each change the log ratio of energies at the levels, and at last that of the residual's own power."""
    box = _box(subject)
    hu, tissue = subject.hu[box], subject.classes.parenchyma[box]
    inside = square(subject, subject.place)[box]
    swapped = inside & tissue
    own = residual(hu, tissue, subject.spacing_mm)
    base, place = hu - own, np.ix_(inside.any(axis=1), inside.any(axis=0))

    def energies(fine: Map) -> list[float]:
        noise = predict(np.where(swapped, base + fine, hu).astype(np.float32), levels_hu)
        squares = [*(noise.astype(np.float64) ** 2), fine.astype(np.float64) ** 2]
        return [float(np.log(np.maximum(one[swapped].mean(), 1e-12))) for one in squares]

    before, found = energies(own), {}
    for name, change in CHANGES.items():
        fine = own.copy()
        fine[place] = change(own[place], np.random.default_rng(0))
        found[name] = [after - first for after, first in zip(energies(fine), before, strict=True)]
    return found


def _box(subject: Subject) -> tuple[slice, slice]:
    spans = []
    for middle, side_mm in zip(subject.place, subject.spacing_mm, strict=True):
        reach = round(HALF_MM / side_mm) + _MARGIN_PX
        spans.append(slice(max(0, middle - reach), middle + reach + 1))
    return spans[0], spans[1]
