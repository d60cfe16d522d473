"""Treatments that put an image on another grid, and slice averaging."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image as Picture
from scipy import ndimage

from tamperscan.bench.robustness.subjects import Image, TestSlice

_DEGREES: Final = 2.0
_AVERAGED_SLICES: Final = 3


def resampled(subject: TestSlice, *, factor: float) -> Image:
    """Enlarge or reduce by a factor, and bring back to the old size, both with Pillow's bicubic filter."""
    rows, columns = subject.image.shape
    there = _resized(subject.image, round(rows * factor), round(columns * factor))
    return _resized(there, rows, columns)


def rotated(subject: TestSlice) -> Image:
    """Turn by two degrees around the middle, by bicubic interpolation; the corners become air."""
    picture = Picture.fromarray(subject.image)
    air = float(subject.image.min())
    return np.asarray(picture.rotate(_DEGREES, Picture.Resampling.BICUBIC, fillcolor=air), np.float32)


def averaged_slices(voxels: Image) -> Image:
    """Put the mean of a slice and its two neighbours in its place, float32 ``[slice, row, column]``."""
    averaged: Image = ndimage.uniform_filter1d(voxels, _AVERAGED_SLICES, axis=0, mode="nearest")
    return averaged


def _resized(image: Image, rows: int, columns: int) -> Image:
    picture = Picture.fromarray(image).resize((columns, rows), Picture.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)
