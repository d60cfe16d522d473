"""Means of a map over small discs, on a coarse grid: what every contender's map of energy comes down to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.places import DISC_MM, Mask, Place, Spacing
from tamperscan.detect.blocks import block_mean

GRID_MM = 3.0
# A disc of which less than this part lies in the region says too little, and what little it says by chance.
_LEAST_COVERED = 0.25

Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Grid:
    """The nodes of a slice at which it is scored: blocks of pixels that lie in its region.

    Attributes
    ----------
    step
        Side of a block in pixels.
    spacing_mm
        Distance between (rows, columns) of nodes in mm.
    nodes
        bool ``[row, column]``: which blocks count.
    """

    step: int
    spacing_mm: Spacing
    nodes: Mask

    def spread(self, values: Map, *, fill: float = math.nan) -> Map:
        """Return float32 ``[row, column]``: ``values [node]`` at their nodes, and ``fill`` elsewhere."""
        spread = np.full(self.nodes.shape, fill, np.float32)
        spread[self.nodes] = values
        return spread

    def pixel(self, row: int, column: int) -> Place:
        """Return the (row, column) in the slice of the middle of a block."""
        return row * self.step + self.step // 2, column * self.step + self.step // 2

    def node(self, row: int, column: int) -> Place:
        """Return the (row, column) of the block that a pixel lies in, the last one at the border."""
        return min(row // self.step, self.nodes.shape[0] - 1), min(column // self.step, self.nodes.shape[1] - 1)


def grid_of(region: Mask, spacing_mm: Spacing) -> Grid:
    """Lay a grid over a region ``[row, column]``.

    Blocks count of which at least a half lies in the region, and of whose disc at least a quarter does.
    """
    step = max(1, round(GRID_MM / min(spacing_mm)))
    share = block_mean(region.astype(np.float32), step)
    grid = Grid(step, (spacing_mm[0] * step, spacing_mm[1] * step), share >= 0.5)
    disc = _disc(grid.spacing_mm)
    covered = ndimage.convolve(share, disc, mode="constant") / disc.sum()
    return Grid(step, grid.spacing_mm, grid.nodes & (covered >= _LEAST_COVERED))


def windowed_means(energy: Map, region: Mask, grid: Grid) -> Map:
    """Average a map over discs of 16 mm, in the region alone.

    Parameters
    ----------
    energy
        float32 ``[row, column]``.
    region
        bool ``[row, column]``; what lies outside counts nowhere (normalised convolution: Knutsson and Westin, CVPR
        1993).
    grid
        Of that region.

    Returns
    -------
    float32 ``[node]``
        In the order of ``grid.nodes``.
    """
    disc = _disc(grid.spacing_mm)
    inside = region.astype(np.float32)
    weight = ndimage.convolve(block_mean(inside, grid.step), disc, mode="constant")
    total = ndimage.convolve(
        block_mean(np.where(region, energy, 0.0).astype(np.float32), grid.step), disc, mode="constant"
    )
    means: Map = (total[grid.nodes] / weight[grid.nodes]).astype(np.float32)
    return means


def node_means(values: Map, region: Mask, grid: Grid) -> Map:
    """Average a map over the blocks of a grid alone, for maps that are averages already; float32 ``[node]``."""
    weight = block_mean(region.astype(np.float32), grid.step)[grid.nodes]
    total = block_mean(np.where(region, values, 0.0).astype(np.float32), grid.step)[grid.nodes]
    means: Map = (total / weight).astype(np.float32)
    return means


def _disc(spacing_mm: Spacing) -> Map:
    """Return a disc of 16 mm as weights on the grid."""
    reach = [math.floor(DISC_MM / side) for side in spacing_mm]
    rows, columns = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    disc: Map = (np.hypot(rows * spacing_mm[0], columns * spacing_mm[1]) <= DISC_MM).astype(np.float32)
    return disc
