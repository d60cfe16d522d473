"""Images as contenders take them: windows, padding, tiles, and noise that belongs to an image."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.contenders.contender import Image
from tamperscan.bench.units import MR_TOP
from tamperscan.scan.windows import LUNG_NOISE_CT, IntensityWindow

BENCH_MR = IntensityWindow(0.0, MR_TOP)
"""All of an MR scan but the brightest thousandth."""


def window_of(modality: str) -> IntensityWindow:
    """Return the range that is mapped to [-1, 1]; for CT the one that keeps the noise of the lungs."""
    return LUNG_NOISE_CT if modality == "CT" else BENCH_MR


def noise_of(image: Image) -> np.random.Generator:
    """Return a generator seeded by an image's pixels: whatever is drawn for it is drawn again the next time."""
    digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image, dtype="<f4").tobytes())
    return np.random.default_rng(int.from_bytes(digest.digest()[:8], "little"))


def pad_to(image: Image, stride: int) -> Image:
    """Repeat the last row and column until both sides divide by a stride."""
    return np.pad(image, [(0, -side % stride) for side in image.shape], mode="edge")


def cut_tiles(image: Image, side: int, step: int) -> Image:
    """Cut an image into square tiles.

    Parameters
    ----------
    image
        ``[row, column]``; filled up by repeating its edge where tiles reach beyond it.
    side, step
        Side of a tile, and distance between neighbours, in pixels; tiles overlap where it is less than the side.

    Returns
    -------
    float32 ``[tile, row, column]``, row by row.
    """
    padded = np.pad(image, [(0, _covered(size, side, step) - size) for size in image.shape], mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (side, side))[::step, ::step]
    return np.array(views, dtype=np.float32).reshape(-1, side, side)


def stitch_tiles(tiles: Image, shape: tuple[int, ...], step: int) -> Image:
    """Put tiles of `cut_tiles` together again, averaged where they overlap.

    Returns
    -------
    float32 of ``shape`` (row, column).
    """
    side = tiles.shape[-1]
    rows, columns = (_covered(size, side, step) for size in shape)
    total, count = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
    tops, lefts = range(0, rows - side + 1, step), range(0, columns - side + 1, step)
    for tile, (top, left) in zip(tiles, ((top, left) for top in tops for left in lefts), strict=True):
        total[top : top + side, left : left + side] += tile
        count[top : top + side, left : left + side] += 1
    stitched: NDArray[np.float32] = (total / count)[: shape[0], : shape[1]]
    return stitched


def _covered(size: int, side: int, step: int) -> int:
    """Return the pixels that tiles cover when no pixel of ``size`` is left out."""
    return side + step * max(0, -(-(size - side) // step))
