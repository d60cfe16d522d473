"""The rough shapes that tell a generator where a nodule shall be, how large, and of what form."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from tamperscan.forge.cube import SIDE
from tamperscan.forge.site import Mask, Voxels

BLUR: Final = 1.5
"""Blur of the shape that the generator is told, in voxels of the cube: it says where and how large, not every spike."""


def draw_shape(diameter: float, rng: np.random.Generator) -> Voxels:
    """Draw the shape of a nodule that never was: a ball with bumps and a few spikes.

    Parameters
    ----------
    diameter
        In voxels of the cube.
    rng
        Decides the bumps.

    Returns
    -------
    float32 ``[32, 32, 32]``, 0 to 1, as the generator was told in training.
    """
    position = cube_grid(SIDE)
    stretch = np.exp(rng.uniform(-0.13, 0.13, size=3)).astype(np.float32)
    turned = Rotation.random(rng=rng).as_matrix().astype(np.float32)
    position = np.tensordot(turned, position, axes=1) * np.reshape(stretch, (3, 1, 1, 1))
    bumps = ndimage.zoom(rng.standard_normal((6, 6, 6)), SIDE / 6, order=3, mode="nearest", grid_mode=True)
    distance = np.sqrt((position**2).sum(axis=0)) * (1.0 + 0.14 * bumps)
    inside = distance <= diameter / 2
    for _ in range(int(rng.integers(1, 5))):
        inside |= _spike(diameter, rng)
    return blurred_shape(inside.astype(np.float32))


def _spike(diameter: float, rng: np.random.Generator) -> Mask:
    """Draw a cone that grows out of the middle and ends beyond the nodule's surface, as strands and vessels do."""
    direction = rng.standard_normal(3)
    direction /= np.linalg.norm(direction)
    length, width = diameter * rng.uniform(0.55, 0.8), diameter * rng.uniform(0.15, 0.25)
    along = np.tensordot(direction, cube_grid(SIDE), axes=1)
    aside = np.sqrt(np.maximum((cube_grid(SIDE) ** 2).sum(axis=0) - along**2, 0.0))
    cone: Mask = (along >= 0) & (along <= length) & (aside <= width * (1.0 - along / length))
    return cone


def blurred_shape(outline: Voxels) -> Voxels:
    """Blur an outline to what the generator is told."""
    blurred: Voxels = ndimage.gaussian_filter(outline, BLUR, mode="nearest")
    return blurred


def cube_grid(side: int) -> NDArray[np.float32]:
    """Return the positions of a cube's voxels from its middle, float32 ``[3, side, side, side]``."""
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
