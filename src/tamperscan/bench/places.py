"""Places in a slice: discs, distances in mm, and what lies far from anything that was tampered with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

# The radius over which a detector averages around a given place.
DISC_MM = 8.0
# CT-GAN replaces a cube of about 32 mm; twice its half width is clear of it and of its blended border.
FAR_MM = 32.0
# A peak no farther from a label than the cube's half width lies in what was replaced.
HIT_MM = 16.0
GRID_MM = 6.0

Spacing = tuple[float, float]
Place = tuple[int, int]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


def distance_mm(first: Place, second: Place, spacing_mm: Spacing) -> float:
    """Return the distance in mm between two (row, column) of a slice."""
    return math.hypot((first[0] - second[0]) * spacing_mm[0], (first[1] - second[1]) * spacing_mm[1])


def far_from(places: Iterable[Place], shape: tuple[int, int], spacing_mm: Spacing, far_mm: float = FAR_MM) -> Mask:
    """Return bool ``[row, column]``: more than ``far_mm`` from every place."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    far = np.ones(shape, dtype=bool)
    for row, column in places:
        far &= np.hypot((rows - row) * spacing_mm[0], (columns - column) * spacing_mm[1]) > far_mm
    return far


def grid_places(mask: Mask, spacing_mm: Spacing, every_mm: float = GRID_MM) -> list[Place]:
    """List the (row, column) of a regular grid that lie in a mask."""
    steps = [max(1, round(every_mm / side)) for side in spacing_mm]
    rows, columns = (np.arange(step // 2, side, step) for step, side in zip(steps, mask.shape, strict=True))
    return [(int(row), int(column)) for row in rows for column in columns if mask[row, column]]


def disc_mean(values: Map, region: Mask, place: Place, spacing_mm: Spacing, radius_mm: float = DISC_MM) -> float:
    """Average a map over the part of a region within a disc; NaN where the disc holds nothing of the region."""
    sides = [
        slice(max(0, centre - math.ceil(radius_mm / side)), centre + math.ceil(radius_mm / side) + 1)
        for centre, side in zip(place, spacing_mm, strict=True)
    ]
    rows, columns = (
        np.arange(side.start, min(side.stop, size)) for side, size in zip(sides, values.shape, strict=True)
    )
    off = np.hypot((rows - place[0])[:, None] * spacing_mm[0], (columns - place[1])[None, :] * spacing_mm[1])
    inside = values[sides[0], sides[1]][(off <= radius_mm) & region[sides[0], sides[1]]]
    return float(inside.mean(dtype=np.float64)) if inside.size else math.nan


def rank_within(values: Map, region: Mask, place: Place, rest: Mask, spacing_mm: Spacing) -> float:
    """Return the share of the untampered places in a slice that have less suspicion than a tampered one.

    Parameters
    ----------
    values
        float32 ``[row, column]``: suspicion.
    region
        bool ``[row, column]``: where it was measured.
    place
        (row, column) of the tampering.
    rest
        bool ``[row, column]``: far from everything that was tampered with.
    spacing_mm
        Distance between (rows, columns) in mm.

    Returns
    -------
    float
        Ties count half; NaN where nothing could be measured at the place, or in the rest.
    """
    here = disc_mean(values, region, place, spacing_mm)
    others = np.array(
        [disc_mean(values, region, other, spacing_mm) for other in grid_places(region & rest, spacing_mm)]
    )
    if math.isnan(here) or others.size == 0:
        return math.nan
    return float(np.mean((others < here) + 0.5 * (others == here)))


def largest(values: Map, mask: Mask) -> float:
    """Return the largest value in a mask, NaN if it is empty."""
    return float(values[mask].max()) if mask.any() else math.nan


def random_place(region: Mask, name: str) -> Place | None:
    """Draw a (row, column) of a region; the same for the same name, None if it is empty."""
    candidates = np.argwhere(region)
    if len(candidates) == 0:
        return None
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    row, column = candidates[np.random.default_rng(seed).integers(len(candidates))]
    return int(row), int(column)
