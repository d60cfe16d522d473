"""Choosing a place to tamper with: where a lesion would fit, or where there is something to take out."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.errors import ForgeError
from tamperscan.forge.lesions import known_lesions
from tamperscan.forge.method import Action
from tamperscan.forge.site import REGION_MM, Index, Mask, Place, Voxels, check_place
from tamperscan.forge.survey import Survey, body_mask, survey
from tamperscan.scan.volume import Scan

DIAMETERS_MM: Final = (8.0, 20.0)
"""Between these lies the size of a lesion that is put in and was not asked for by size; less in a small region."""

# What must be left around a lesion inside the altered region: where one is put in to fade out (the method 'gan' needs
# the most), where one is taken out to be filled from.
_FADE_MM: Final = 7.0
_RIM_MM: Final = 5.0
# A blurred image above this is a large vessel: 5 mm of blur leave a vessel of 2 mm below.
_DENSE_HU: Final = -450.0
_DENSE_BLUR_MM: Final = 2.0
_BORDER_MM: Final = 4.0
# What is taken out must not be part of the wall of the lung or the body.
_WALL_MM: Final = 2.0
# Sizes of compact structures that are looked for, in mm.
_SIZES_MM: Final = (5.0, 8.0, 12.0, 17.0)
_LEAST_HU: Final = 60.0
_LEAST_PART: Final = 0.1
_MOST_CANDIDATES: Final = 12
_LUNG_RANGE_HU: Final = (-1000.0, 100.0)


def find_place(
    scan: Scan,
    action: Action,
    seed: int,
    index: Index | None = None,
    *,
    diameter_mm: float | None = None,
    region_mm: float = REGION_MM,
) -> Place:
    """Take the place that was asked for, if it will do, or choose one by the seed.

    Parameters
    ----------
    scan, action, diameter_mm, region_mm
        As for `choose_place`.
    seed
        Same seed, same place.
    index
        Voxel (slice, row, column) of the place; None to have one chosen.

    Raises
    ------
    ForgeError
        If the place lies outside the scan or the body, or nothing fits.
    """
    if index is None:
        # A stream of its own: a method that is given the same seed must not draw what the place was drawn from.
        rng = np.random.default_rng((seed, 1))
        place = choose_place(scan, action, rng, diameter_mm=diameter_mm, region_mm=region_mm)
    else:
        place = Place(*index) if diameter_mm is None else Place(*index, diameter_mm)
        check_place(scan, place, region_mm=region_mm)
        check_in_body(scan, place)
    return place


def choose_place(
    scan: Scan,
    action: Action,
    rng: np.random.Generator,
    *,
    diameter_mm: float | None = None,
    region_mm: float = REGION_MM,
) -> Place:
    """Choose a place at random among those that fit.

    A lesion is put into lung tissue clear of large vessels and, where there is room, of the pleura; in MR into even
    tissue. What is taken out is a lesion that readers have marked (see `known_lesions`), if one is small enough, else a
    vessel or another compact structure inside the lung; in MR a compact structure inside the body.

    Parameters
    ----------
    scan
        An authentic scan.
    action
        What is to be done there.
    rng
        Same state, same place.
    diameter_mm
        Size of the lesion; if not given it is drawn from `DIAMETERS_MM` or is that of what is taken out.
    region_mm
        Side of the cube that may be altered.

    Raises
    ------
    ForgeError
        If nothing fits.
    """
    if action == "inject":
        return _choose_room(scan, survey(scan), rng, diameter_mm or _draw_diameter(rng, region_mm))
    return _choose_known(scan, rng, diameter_mm, region_mm) or _choose_structure(scan, rng, diameter_mm, region_mm)


def check_in_body(scan: Scan, place: Place) -> None:
    """Refuse a place in the air around the body; it must lie in the scan.

    Raises
    ------
    ForgeError
        If it does.
    """
    if not body_mask(scan, place.slice)[place.row, place.column]:
        raise ForgeError(
            f"{scan.name}: slice {place.slice}, row {place.row}, column {place.column} lies outside the body. "
            f"Give a place inside it, or none to have one chosen."
        )


def _draw_diameter(rng: np.random.Generator, region_mm: float) -> float:
    low, high = (min(size, _largest(region_mm, _FADE_MM)) for size in DIAMETERS_MM)
    return round(float(rng.uniform(low, high)), 1)


def _largest(region_mm: float, rim_mm: float) -> float:
    """Give the largest lesion that leaves a rim in the region; in a small region half of its side."""
    return max(region_mm - 2 * rim_mm, region_mm / 2)


def _choose_room(scan: Scan, surveyed: Survey, rng: np.random.Generator, diameter_mm: float) -> Place:
    radius = diameter_mm / 2.0
    fits = _lung_room(surveyed, radius) if scan.modality == "CT" else _even_tissue(surveyed, radius)
    places = np.argwhere(fits)
    if not len(places):
        where = "lung" if scan.modality == "CT" else "body"
        raise ForgeError(
            f"{scan.name}: no place in the {where} has room for a lesion of {diameter_mm:g} mm. "
            f"Give a smaller --diameter, or a --place of your own."
        )
    return Place(*surveyed.index(places[rng.integers(len(places))]), diameter_mm)


def _lung_room(surveyed: Survey, radius: float) -> Mask:
    """Find where a ball fits into the lung, with less and less around it."""
    if not surveyed.tissue.any():
        return surveyed.tissue
    border = surveyed.room_mm(surveyed.tissue)
    dense = surveyed.tissue & (surveyed.smooth(surveyed.values, _DENSE_BLUR_MM) > _DENSE_HU)
    clear = surveyed.room_mm(~dense) if dense.any() else np.full(dense.shape, np.inf)
    wishes = ((radius + _BORDER_MM, radius), (radius, radius), (radius, radius / 2), (radius / 2, radius / 2))
    fits = surveyed.tissue
    for from_border, from_dense in wishes:
        fits = (border >= from_border) & (clear >= from_dense)
        if fits.any():
            break
    return fits


def _even_tissue(surveyed: Survey, radius: float) -> Mask:
    """Find the tenth of the body where values within a ball vary least, as a part of their mean."""
    deep = surveyed.tissue & (surveyed.room_mm(surveyed.tissue) >= radius)
    if not deep.any():
        return deep
    middle = surveyed.smooth(surveyed.values, radius)
    spread = surveyed.smooth((surveyed.values - middle) ** 2, radius)
    variation = np.sqrt(spread) / np.maximum(middle, 1e-6)
    even: Mask = deep & (variation <= np.quantile(variation[deep], 0.1))
    return even


def _choose_known(scan: Scan, rng: np.random.Generator, diameter_mm: float | None, region_mm: float) -> Place | None:
    largest = min(diameter_mm or region_mm, _largest(region_mm, _RIM_MM))
    fitting = [lesion for lesion in known_lesions(scan) if lesion.diameter_mm <= largest]
    if not fitting:
        return None
    lesion = fitting[rng.integers(len(fitting))]
    return Place(lesion.slice, lesion.row, lesion.column, diameter_mm or round(lesion.diameter_mm, 1))


def _choose_structure(scan: Scan, rng: np.random.Generator, diameter_mm: float | None, region_mm: float) -> Place:
    """Choose among the most compact structures: first a size, so that the many small ones are not all."""
    largest = _largest(region_mm, _RIM_MM)
    sizes = (diameter_mm,) if diameter_mm else tuple(sorted({min(size, largest) for size in _SIZES_MM}))
    surveyed = survey(scan)
    found = _structures(surveyed, sizes, bright_only=scan.modality == "CT") if surveyed.tissue.any() else []
    if not found:
        raise ForgeError(f"{scan.name}: nothing was found that could be taken out. Give a --place of your own.")
    there = sorted({size for size, _ in found})
    size = there[rng.integers(len(there))]
    places = [place for its_size, place in found if its_size == size][:_MOST_CANDIDATES]
    return Place(*surveyed.index(places[rng.integers(len(places))]), size)


def _structures(
    surveyed: Survey, sizes: tuple[float, ...], *, bright_only: bool
) -> list[tuple[float, NDArray[np.intp]]]:
    """List (size, coarse voxel) of what stands out from all around it in its slice, the strongest first."""
    values = np.clip(surveyed.values, *_LUNG_RANGE_HU) if bright_only else surveyed.values
    room = surveyed.room_mm(surveyed.tissue)
    inside = [np.where(room >= size / 2.0 + _WALL_MM, _compactness(surveyed, values, size), 0.0) for size in sizes]
    signs = inside if bright_only else [np.abs(strength) for strength in inside]
    strongest, size_of = np.max(signs, axis=0), np.argmax(signs, axis=0)
    least = _LEAST_HU if bright_only else _LEAST_PART * float(values[surveyed.tissue].std())
    peaks = (strongest > least) & (strongest == ndimage.maximum_filter(strongest, size=5))
    places = np.argwhere(peaks)
    order = np.argsort(-strongest[peaks], kind="stable")
    return [(sizes[size_of[tuple(place)]], place) for place in places[order]]


def _compactness(surveyed: Survey, values: Voxels, size_mm: float) -> Voxels:
    """Measure how much a place stands out along every direction of its slice: above zero if bright, below if dark.

    The smaller of the two curvatures, at the scale that a ball of this size answers to most; zero where they differ in
    sign, as on the wall of a vessel or an organ (after Lindeberg, "Feature detection with automatic scale selection",
    1998).
    """
    sigma = [size_mm / (2.0 * math.sqrt(3.0)) / step for step in surveyed.spacing_mm]
    down, mixed, across = (
        ndimage.gaussian_filter(values, sigma, order=order, truncate=3.0) * (sigma[1] * sigma[2])
        for order in ((0, 2, 0), (0, 1, 1), (0, 0, 2))
    )
    middle, half = (down + across) / 2.0, np.hypot((down - across) / 2.0, mixed)
    bright, dark = np.minimum(middle + half, 0.0), np.maximum(middle - half, 0.0)
    compact: Voxels = (-bright - dark).astype(np.float32)
    return compact
