"""The published pipeline's way with a slice: tiles of 96 px, and the mean square of what one step takes away."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.reverse_step import back_in_time
from tamperscan.diffusion.schedule import NoiseSchedule
from tamperscan.scan.windows import PUBLISHED_CT

TILE_PX = 96

Images = NDArray[np.float32]
Step = Callable[[Images], Images]


def slice_tiles(image: Images) -> Images:
    """Cut a slice in HU into tiles of 96 px without overlap, in model units.

    Returns
    -------
    float32 ``[tile, row, column]``; the last rows and columns are filled by repeating the slice's edge.
    """
    padded = np.pad(image, [(0, -side % TILE_PX) for side in image.shape], mode="edge")
    down, across = (side // TILE_PX for side in padded.shape)
    tiles = padded.reshape(down, TILE_PX, across, TILE_PX).swapaxes(1, 2).reshape(-1, TILE_PX, TILE_PX)
    return PUBLISHED_CT.to_model(tiles)


def score_tiles(tiles: Images, step: Step, schedule: NoiseSchedule) -> Images:
    """Score tiles, ``[tile]``.

    Parameters
    ----------
    tiles
        float32 ``[tile, row, column]`` in model units.
    step
        Predicts their noise at the lowest level.
    schedule
        Of the published detector.
    """
    removed = tiles - back_in_time(tiles, step(tiles), schedule)
    scores: Images = np.square(removed).mean(axis=(1, 2)).astype(np.float32)
    return scores
