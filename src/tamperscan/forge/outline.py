"""Irregular outlines around a place, and masks with hard or soft edges within them."""

from __future__ import annotations

from typing import Final

import numpy as np

from tamperscan.forge.site import Mask, Site, Voxels

# Waves over the sphere of directions: enough that no outline looks like another, slow enough that none is ragged.
_WAVES: Final = 8
_SLOW: Final = (1.5, 4.0)

Offsets = tuple[Voxels, Voxels, Voxels]


def relative_radius(
    offsets_mm: Offsets, rng: np.random.Generator, strength: float, frequencies: tuple[float, float] = _SLOW
) -> Voxels:
    """Draw a smooth closed surface around the origin: its radius in each direction.

    The radius is modulated by a few plane waves in space, looked up on the unit sphere, so that it is smooth in every
    direction and in every slice alike.

    Parameters
    ----------
    offsets_mm
        Offset of each voxel from the origin along (slice, row, column); arrays that broadcast.
    rng
        Decides the waves.
    strength
        Standard deviation of the radius over the directions, relative to its mean.
    frequencies
        Between these lie the waves' frequencies, in radians along the unit sphere's radius.

    Returns
    -------
    float32 ``[slice, row, column]``: radius of the surface in the voxel's direction, about 1.0.
    """
    axes = rng.standard_normal((_WAVES, 3))
    waves = axes * (rng.uniform(*frequencies, _WAVES) / np.linalg.norm(axes, axis=1))[:, None]
    phases = rng.uniform(0.0, 2.0 * np.pi, _WAVES)
    length = np.maximum(np.sqrt(sum(offset**2 for offset in offsets_mm)), 1e-6)
    directions = [offset / length for offset in offsets_mm]
    field = np.zeros(length.shape, dtype=np.float32)
    for wave, phase in zip(waves, phases, strict=True):
        along = sum(step * direction for step, direction in zip(wave, directions, strict=True))
        field += np.cos(along + phase, dtype=np.float32)
    radius: Voxels = np.maximum(1.0 + strength * np.sqrt(2.0 / _WAVES) * field, 0.2).astype(np.float32)
    return radius


def hard_mask(site: Site, radius_mm: float, rng: np.random.Generator, strength: float = 0.1) -> Mask:
    """Return bool ``[slice, row, column]``: what lies within an irregular outline and may be altered.

    Parameters
    ----------
    site
        The surroundings of the place, which is the middle of the outline.
    radius_mm
        The outline's mean radius.
    rng
        Decides its form.
    strength
        How irregular it is, as in `relative_radius`.
    """
    mask: Mask = (_outside_mm(site, radius_mm, rng, strength) <= 0.0) & site.alterable()
    return mask


def soft_mask(site: Site, radius_mm: float, edge_mm: float, rng: np.random.Generator, strength: float = 0.1) -> Voxels:
    """Fade from 1 within an irregular outline to 0 at ``edge_mm`` outside of it, smoothly at both ends.

    Where the outline comes near the border of what may be altered it is flattened, so that it fades there, too.

    Parameters
    ----------
    site, radius_mm, rng, strength
        As in `hard_mask`.
    edge_mm
        Width of the edge.

    Returns
    -------
    float32 ``[slice, row, column]``, 0 to 1.
    """
    room = site.region_mm / 2.0 - edge_mm
    outside = _outside_mm(site, radius_mm, rng, strength)
    for offset in site.offsets_mm():
        outside = np.maximum(outside, np.abs(offset) - np.float32(room))
    part = np.clip(1.0 - outside / np.float32(edge_mm), 0.0, 1.0)
    faded: Voxels = (part * part * (3.0 - 2.0 * part)).astype(np.float32)
    return faded


def _outside_mm(site: Site, radius_mm: float, rng: np.random.Generator, strength: float) -> Voxels:
    """Say how far each voxel lies outside the outline along the ray from the place, in mm; negative within."""
    outline = relative_radius(site.offsets_mm(), rng, strength)
    distance: Voxels = site.distance_mm() - np.float32(radius_mm) * outline
    return distance
