"""Where a crop is altered: soft masks of many shapes, and the bumps that stand for nodules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Sizes in pixels of 0.6 to 0.9 mm: from a small nodule to the cube of 32 mm that published attacks replace.
_RADIUS_PX = (7.0, 26.0)
_BUMP_PX = (3.5, 14.0)
_SQUARE_SHARE = 0.2
_IN_LUNG_SHARE = 0.6
_PLACES = 3
_NEAR_PX = 8


@dataclass(frozen=True, eq=False)
class Shape:
    """A soft mask.

    Attributes
    ----------
    mask
        float32 ``[row, column]``, 0 to 1.
    centre
        (row, column).
    radius
        Mean radius in pixels.
    """

    mask: NDArray[np.float32]
    centre: tuple[float, float]
    radius: float


def draw_blob(rng: np.random.Generator, crop: NDArray[np.float32], *, bright: bool = False) -> Shape:
    """Draw a soft mask, mostly in the lung, or in what is bright: a lobed blob, sometimes a square."""
    side = len(crop)
    centre, radius = _place(rng, crop, 0.2, bright), _log_uniform(rng, _RADIUS_PX)
    if rng.random() < _SQUARE_SHARE:
        row, column = np.indices((side, side), dtype=np.float32)
        inward = radius - np.maximum(np.abs(row - centre[0]), np.abs(column - centre[1]))
    else:
        inward = _lobed(rng, side, centre, radius, 0.12)
    return Shape(_soften(inward, rng.uniform(0.5, 4.0)), centre, radius)


def draw_disc(rng: np.random.Generator, side: int, centre: tuple[float, float], radius: float) -> Shape:
    """Draw a soft disc around a place."""
    row, column = np.indices((side, side), dtype=np.float32)
    inward = radius - np.hypot(row - centre[0], column - centre[1])
    return Shape(_soften(inward, rng.uniform(0.5, 3.0)), centre, radius)


def draw_bump(rng: np.random.Generator, crop: NDArray[np.float32], *, bright: bool = False) -> Shape:
    """Draw the shape of a nodule, mostly in the lung, or in what is bright, its edge as sharp as that of real ones."""
    side = len(crop)
    centre, radius = _place(rng, crop, 0.25, bright), _log_uniform(rng, _BUMP_PX)
    inward = _lobed(rng, side, centre, radius, 0.2)
    edge = ndimage.gaussian_filter(np.clip(0.5 + inward, 0.0, 1.0), rng.uniform(0.5, 1.3))
    return Shape(np.asarray(edge, np.float32), centre, radius)


def _place(rng: np.random.Generator, crop: NDArray[np.float32], margin: float, bright: bool) -> tuple[float, float]:
    """Draw a centre; of several the one that lies deepest in the lung (or the body of an MR), as tampering does."""
    side = len(crop)
    count = _PLACES if rng.random() < _IN_LUNG_SHARE else 1
    places = rng.uniform(margin * side, (1 - margin) * side, (count, 2))
    density = [
        crop[int(row) - _NEAR_PX : int(row) + _NEAR_PX, int(column) - _NEAR_PX : int(column) + _NEAR_PX].mean()
        for row, column in places
    ]
    row, column = places[int(np.argmax(density) if bright else np.argmin(density))]
    return float(row), float(column)


def _log_uniform(rng: np.random.Generator, ends: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(ends))))


def _lobed(
    rng: np.random.Generator, side: int, centre: tuple[float, float], radius: float, lobes: float
) -> NDArray[np.float32]:
    """Return how many pixels inside a lobed, stretched disc each pixel lies; negative outside."""
    row, column = np.indices((side, side), dtype=np.float32)
    row, column = row - np.float32(centre[0]), column - np.float32(centre[1])
    angle = np.arctan2(row, column)
    outline = np.full_like(angle, radius)
    for order in range(2, 6):
        outline += np.float32(radius * rng.normal(0.0, lobes / order)) * np.cos(
            order * angle + rng.uniform(0, 2 * np.pi)
        )
    stretch = np.float32(rng.uniform(0.8, 1.25))
    return np.asarray(outline - np.hypot(row * stretch, column / stretch), np.float32)


def _soften(inward: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    return np.asarray(np.clip(0.5 + inward / (2 * width), 0.0, 1.0), np.float32)
