"""The cube that a generator works on: cut out of a scan at even spacing, and its change pasted back.

After Mirsky et al., USENIX Security 2019, section 5: a cube of 32 mm is resampled by splines to 32 x 32 x 32 voxels of
1 mm, altered, and resampled back. Only the change goes back, so that what the generator left alone stays exactly what
it was: resampling there and back would blur it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from tamperscan.forge.site import Site, Voxels

SIDE: Final = 32
"""Voxels along each side of the cube."""

FADE: Final = 3.0
"""Over how many of its voxels the change fades out around the core."""

LARGEST_CORE: Final = SIDE / 2 - FADE
"""Radius in voxels of the largest core that still fades out within the cube."""

MARGIN_MM: Final = 4.0
"""How far the core reaches beyond the lesion."""

_SPLINE: Final = 3


def cut_cube(site: Site, side: int = SIDE) -> Voxels:
    """Resample the cube around a place to even spacing.

    Parameters
    ----------
    site
        The surroundings. A side of the cube is its ``region_mm``; beyond the scan's border the last voxels repeat, so
        that a single slice fills the cube.
    side
        Voxels along each side of the cube.

    Returns
    -------
    float32 ``[side, side, side]`` in the scan's units, with the place in the middle.
    """
    steps_mm = (np.arange(side) - (side - 1) / 2) * (site.region_mm / side)
    along = [middle + steps_mm / step for middle, step in zip(site.centre, site.spacing_mm, strict=True)]
    positions = np.meshgrid(*along, indexing="ij")
    cube: Voxels = ndimage.map_coordinates(site.voxels, positions, order=_SPLINE, mode="nearest", output=np.float32)
    return cube


def paste_change(site: Site, change: Voxels) -> Voxels:
    """Add the change of a cube to the site's own voxels.

    Parameters
    ----------
    site
        Where the cube was cut from.
    change
        float32 ``[32, 32, 32]``: what to add, in the scan's units; must fade out before the cube's faces.

    Returns
    -------
    float32 ``[slice, row, column]``: the site's voxels with the change.
    """
    pasted: Voxels = site.voxels + resample_cube(site, change)
    return pasted


def resample_cube(site: Site, values: Voxels) -> Voxels:
    """Bring values of the cube to the site's own voxels, by splines; 0 outside the cube.

    Parameters
    ----------
    site
        Where the cube was cut from.
    values
        float32 ``[32, 32, 32]``.

    Returns
    -------
    float32 ``[slice, row, column]``.
    """
    scale = SIDE / site.region_mm
    positions = np.broadcast_arrays(*(offset * scale + (SIDE - 1) / 2 for offset in site.offsets_mm()))
    inside = np.all([(axis >= 0) & (axis <= SIDE - 1) for axis in positions], axis=0)
    resampled = np.zeros(site.voxels.shape, dtype=np.float32)
    resampled[inside] = ndimage.map_coordinates(
        values, [axis[inside] for axis in positions], order=_SPLINE, mode="nearest", output=np.float32
    )
    return resampled


def core_radius(site: Site) -> float:
    """Return the radius of the core for a lesion: its own and 4 mm for what surrounds it, in voxels of the cube."""
    return (site.diameter_mm / 2 + MARGIN_MM) * SIDE / site.region_mm


def core(radius: float) -> Voxels:
    """Return the ball that is masked out for the generator.

    Parameters
    ----------
    radius
        In voxels of the cube.

    Returns
    -------
    float32 ``[32, 32, 32]``: 1 inside, 0 outside.
    """
    ball: Voxels = (_distance() <= radius).astype(np.float32)
    return ball


def blend_weight(radius: float) -> Voxels:
    """Return how much of the generator's output is taken.

    Parameters
    ----------
    radius
        Of the core, in voxels of the cube; at most `LARGEST_CORE`.

    Returns
    -------
    float32 ``[32, 32, 32]``: 1 in the core, falling to 0 over `FADE` voxels (half a cosine).
    """
    outside = np.clip((_distance() - radius) / FADE, 0.0, 1.0)
    weight: Voxels = (0.5 * (1.0 + np.cos(np.pi * outside))).astype(np.float32)
    return weight


def _distance() -> Voxels:
    """Distance of each voxel of the cube from its middle, in voxels."""
    axis = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    distance: Voxels = np.sqrt(
        axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2, dtype=np.float32
    )
    return distance
