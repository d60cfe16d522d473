"""Which nodes of a grid were tampered with."""

from __future__ import annotations

import numpy as np

from tamperscan.bench.grids import Grid
from tamperscan.bench.places import Mask
from tamperscan.detect.blocks import block_mean


def mask_nodes(mask: Mask, grid: Grid) -> str:
    """Tell as hexadecimal digits at which nodes half a block or more was tampered with.

    Parameters
    ----------
    mask
        bool ``[row, column]``.
    grid
        Of the slice.
    """
    share = block_mean(mask.astype(np.float32), grid.step)
    return np.packbits(share[grid.nodes] >= 0.5).tobytes().hex()


def nodes_of(digits: str, count: int) -> Mask:
    """Return bool ``[node]`` from what `mask_nodes` told of so many nodes."""
    bits: Mask = np.unpackbits(np.frombuffer(bytes.fromhex(digits), np.uint8), count=count).astype(bool)
    return bits
