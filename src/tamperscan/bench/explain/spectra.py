"""Power spectra of what is left when the image's coarse structure is taken away, and of the predicted noise.

A spectrum is taken in a square around a place, within one tissue: what is not of the tissue is masked out, and the
low-pass is an average over the tissue alone, so that vessels leave no halo in the parenchyma around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.explain.averages import geometric_means
from tamperscan.bench.explain.predictors import Predict
from tamperscan.bench.explain.subjects import HALF_MM, Subject
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.places import Map, Mask, Place, Spacing, grid_places

LOW_PASS_MM: Final = 3.0
"""Standard deviation of the low-pass; above 0.1 cycles/mm it takes less than a third of the power away."""

EDGES: Final = tuple(np.round(np.arange(0.05, 0.851, 0.05), 3).tolist())
"""Edges of the frequency bands in cycles/mm; bands beyond a slice's own limit, 1 / (2 pixel), are left out."""

FREQUENCIES: Final = tuple(round((low + high) / 2, 4) for low, high in pairwise(EDGES))
# The area of a band's ring in the plane of frequencies: what its power counts by in the total.
_RINGS: Final = np.diff(np.square(EDGES))

RESIDUAL: Final = "image less low-pass"
# Squares must hold this much of the tissue, weighed by the taper.
_LEAST_SHARE = 0.3
_LEAST_REST = 3
# The rest keeps clear of the tampered squares: half a diagonal for each of the two, less a corner.
_FAR_MM = 40.0
_REST_EVERY_MM = 8.0
_SIDE = 96
_LEAST_CELLS = 20

Array = NDArray[np.float64]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class SpectrumRatio:
    """The spectrum at places of one kind over that of the rest of their slices, by frequency.

    Attributes
    ----------
    kind, tissue
        Which places, and in which tissue.
    what
        `RESIDUAL`, or the predicted noise at a level.
    places, scans
        How many there are.
    frequencies
        Middles of the bands in cycles/mm.
    counts
        How many places have each band.
    times
        Geometric mean of the ratio of powers, for each band.
    shape
        The same after both spectra were scaled to the same total power.
    total
        Ratio of the total powers.
    """

    kind: str
    tissue: str
    what: str
    places: int
    scans: int
    frequencies: tuple[float, ...]
    counts: tuple[int, ...]
    times: tuple[Estimate, ...]
    shape: tuple[Estimate, ...]
    total: Estimate


def spectra(
    subjects: Sequence[Subject],
    predict: Predict,
    levels_hu: Sequence[float],
    *,
    tissue: str = "parenchyma",
    report: Report = lambda *_: None,
) -> tuple[SpectrumRatio, ...]:
    """Compare the spectra at places with those of the rest of their slices.

    Parameters
    ----------
    subjects
        Places of any kinds.
    predict
        The noise predictor.
    levels_hu
        Levels at which the predicted noise is looked at.
    tissue
        In which.
    report
        Called with (places done, places in all).
    """
    names = [RESIDUAL, *(f"predicted noise at {level:g} HU" for level in levels_hu)]
    logs = []
    for done, subject in enumerate(subjects, start=1):
        maps = [residual(subject.hu, subject.tissue(tissue), subject.spacing_mm), *predict(subject.hu, levels_hu)]
        logs.append(_log_ratios(subject, maps, subject.tissue(tissue)))
        report(done, len(subjects))
    found = []
    for kind in dict.fromkeys(subject.kind for subject in subjects):
        chosen = [index for index, subject in enumerate(subjects) if subject.kind == kind]
        pairs = [(subjects[index].group, logs[index]) for index in chosen]
        found += summarise(kind, tissue, names, pairs)
    return tuple(found)


def summarise(
    kind: str, tissue: str, names: Sequence[str], pairs: Iterable[tuple[str, tuple[Array, Array] | None]]
) -> list[SpectrumRatio]:
    """Average the spectra of places.

    Parameters
    ----------
    kind, tissue
        What they are of.
    names
        Of the maps.
    pairs
        (scan, spectra ``[map, band]`` of the place and of what it is compared with, both as logarithms); None where
        there are none.
    """
    known = [(group, logs) for group, logs in pairs if logs is not None]
    if not known:
        return []
    groups = [group for group, _ in known]
    here, rest = (np.stack([logs[side] for _, logs in known]) for side in (0, 1))
    totals = [np.log(np.nansum(np.exp(side) * _RINGS, axis=2)) for side in (here, rest)]
    ratio, total = here - rest, totals[0] - totals[1]
    return [
        SpectrumRatio(
            kind=kind,
            tissue=tissue,
            what=name,
            places=len(groups),
            scans=len(set(groups)),
            frequencies=FREQUENCIES,
            counts=tuple(int(count) for count in np.isfinite(ratio[:, index]).sum(axis=0)),
            times=geometric_means(ratio[:, index], groups),
            shape=geometric_means(ratio[:, index] - total[:, index, None], groups),
            total=geometric_means(total[:, index], groups)[0],
        )
        for index, name in enumerate(names)
    ]


def residual(hu: Map, tissue: Mask, spacing_mm: Spacing) -> Map:
    """Return float32 ``[row, column]``: the image less its low-pass within a tissue; 0 outside it."""
    return np.where(tissue, hu - low_pass(hu, tissue, spacing_mm), np.float32(0.0))


def low_pass(hu: Map, tissue: Mask, spacing_mm: Spacing, sigma_mm: float = LOW_PASS_MM) -> Map:
    """Average the pixels of a tissue under a Gaussian; others have no part in it.

    Parameters
    ----------
    hu
        float32 ``[row, column]``.
    tissue
        bool ``[row, column]``.
    spacing_mm
        Distance between (rows, columns) in mm.
    sigma_mm
        Standard deviation of the Gaussian.

    Returns
    -------
    float32 ``[row, column]``; of meaning near the tissue only.
    """
    sigma = [sigma_mm / side for side in spacing_mm]
    weights = ndimage.gaussian_filter(tissue.astype(np.float32), sigma)
    sums = ndimage.gaussian_filter(np.where(tissue, hu, np.float32(0.0)), sigma)
    averaged: Map = sums / np.maximum(weights, np.float32(1e-6))
    return averaged


def spectrum(values: Map, tissue: Mask, place: Place, spacing_mm: Spacing) -> Array | None:
    """Return the radially averaged power spectrum in the square of 32 mm around a place.

    Parameters
    ----------
    values
        float32 ``[row, column]``.
    tissue
        bool ``[row, column]``: where the values count.
    place
        (row, column) of the square's middle.
    spacing_mm
        Distance between (rows, columns) in mm.

    Returns
    -------
    float64 ``[band]`` or None
        Power per unit of spatial frequency (values² mm²), NaN beyond the slice's own limit. None where the square does
        not fit or holds too little of the tissue.
    """
    halves = [round(HALF_MM / step) for step in spacing_mm]
    box = tuple(slice(middle - half, middle + half + 1) for middle, half in zip(place, halves, strict=True))
    if any(side.start < 0 or side.stop > size for side, size in zip(box, values.shape, strict=True)):
        return None
    down, across = (np.hanning(2 * half + 3)[1:-1] for half in halves)
    taper = down[:, None] * across[None, :]
    weights = taper * tissue[box]
    if weights.sum() < _LEAST_SHARE * taper.sum():
        return None
    part = values[box].astype(np.float64)
    centred = (part - (part * weights).sum() / weights.sum()) * weights
    power = np.abs(np.fft.fft2(centred, s=(_SIDE, _SIDE))) ** 2 * spacing_mm[0] * spacing_mm[1]
    return _by_band(power / (weights**2).sum(), spacing_mm)


def _by_band(power: Array, spacing_mm: Spacing) -> Array:
    down, across = (np.fft.fftfreq(_SIDE, step) for step in spacing_mm)
    frequency = np.hypot(down[:, None], across[None, :])
    band = np.digitize(frequency, EDGES) - 1
    usable = (band >= 0) & (band < len(FREQUENCIES)) & (frequency <= 0.5 / max(spacing_mm))
    counts = np.bincount(band[usable], minlength=len(FREQUENCIES))
    sums = np.bincount(band[usable], power[usable], minlength=len(FREQUENCIES))
    return np.where(counts >= _LEAST_CELLS, sums / np.maximum(counts, 1), np.nan)


def _log_ratios(subject: Subject, maps: Sequence[Map], tissue: Mask) -> tuple[Array, Array] | None:
    """Return the log spectra ``[map, band]`` of the place, and their mean over the rest of the slice."""
    rest = grid_places(subject.lung & subject.far(_FAR_MM), subject.spacing_mm, _REST_EVERY_MM)
    here = [spectrum(values, tissue, subject.place, subject.spacing_mm) for values in maps]
    if any(one is None for one in here):
        return None
    others = [[spectrum(values, tissue, place, subject.spacing_mm) for values in maps] for place in rest]
    usable = [[np.log(one) for one in each if one is not None] for each in others if each[0] is not None]
    if len(usable) < _LEAST_REST:
        return None
    return np.log(np.array(here)), np.mean(usable, axis=0)
