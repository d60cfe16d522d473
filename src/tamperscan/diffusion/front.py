"""What our networks do with an image before their first convolution, in NumPy.

A runtime multiplies matrices faster than NumPy does, but not these few steps: OpenVINO has no vectorised
inverse hyperbolic sine, and in bfloat16 a high-pass would be a difference of two rounded numbers. `LocalUNet` and
`ForgeryHead` say what the steps are; here they are done once more, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

# The head's high-pass is taken over this level; it brings tissue texture to the order of one.
HEAD_LEVEL: Final = 0.05
# Predicted noise is standardised; at this scale its high-pass is of the order of the image's.
NOISE_SCALE: Final = 0.3

Image = NDArray[np.float32]


def front(inputs: Mapping[str, Image]) -> Image:
    """Return what the first convolution of a network sees.

    Parameters
    ----------
    inputs
        What the network is given for one image: ``"image"`` ``[1, 1, row, column]`` with either ``"level"`` ``[1]`` (a
        noise predictor) or ``"noise"`` ``[1, level, row, column]`` (a self-forged head). Sides are even.

    Returns
    -------
    float32 ``[1, 8 * map, row / 2, column / 2]``: the maps and their high-passes, by 2x2 pixel unshuffling.
    """
    maps = [inputs["image"][0, 0]]
    level = np.float32(HEAD_LEVEL)
    if "noise" in inputs:
        maps += [noise * np.float32(NOISE_SCALE) for noise in inputs["noise"][0]]
    else:
        level = np.float32(inputs["level"][0])
    rows, columns = maps[0].shape
    seen = np.empty((2 * len(maps), 2, 2, rows // 2, columns // 2), np.float32)
    for index, each in enumerate(maps):
        _unshuffle(each, seen[index])
        fine = high_pass(each)
        fine /= level
        _unshuffle(np.arcsinh(fine, out=fine), seen[len(maps) + index])
    return seen.reshape(1, 8 * len(maps), rows // 2, columns // 2)


def high_pass(image: Image) -> Image:
    """Subtract the mean of the 3x3 neighbourhood of an image ``[row, column]``, the border repeated."""
    padded = np.pad(image, 1, mode="edge")
    rows = padded[:-2] + padded[1:-1]
    rows += padded[2:]
    total = rows[:, :-2] + rows[:, 1:-1]
    total += rows[:, 2:]
    total *= np.float32(-1.0 / 9.0)
    total += image
    return total


def _unshuffle(image: Image, into: Image) -> None:
    for down in range(2):
        for right in range(2):
            into[down, right] = image[down::2, right::2]
