"""The shape of a drawn nodule: an ellipsoid with lobes and spikes, seen by a scanner with finite resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from tamperscan.forge.outline import Offsets, relative_radius
from tamperscan.forge.site import Site, Spacing, Voxels

# Slices are divided at least as finely as this when the shape is drawn, so that thick ones average over it.
_FINE_MM: Final = 0.5
_LONGEST_AXIS: Final = 1.25
_NOTCHES: Final = (5.0, 10.0)
_SPIKES: Final = (10, 22)
# Spikes reach beyond the surface by this part of the radius, and are half this wide where they leave it.
_SPIKE_REACH: Final = (0.25, 1.0)
_SPIKE_MM: Final = (0.8, 1.8)
_BLURS: Final = 3.0


@dataclass(frozen=True)
class Blur:
    """How the scan blurs what it shows.

    Attributes
    ----------
    in_plane_mm
        Standard deviation of the Gaussian within slices.
    thickness_mm
        Thickness of a slice: what it averages over.
    """

    in_plane_mm: float
    thickness_mm: float


def draw_nodule(site: Site, blur: Blur, irregularity: float, spiculated: bool, rng: np.random.Generator) -> Voxels:
    """Draw a nodule at the place of a site.

    Parameters
    ----------
    site
        The surroundings of the place; its diameter is the nodule's, spikes not counted.
    blur
        What the scan does to it.
    irregularity
        Standard deviation of the radius over the directions, relative to the radius.
    spiculated
        Whether spikes reach from it into the lung.
    rng
        Draws the shape.

    Returns
    -------
    float32 ``[slice, row, column]``: how much of each voxel is nodule, 0 to 1; 0 where nothing may be altered.
    """
    box, fine = _box(site, blur), _fine_steps(site.spacing_mm[0])
    offsets, pixel_mm = _fine_offsets(site, box, fine), min(site.spacing_mm[1:])
    covered = _body(offsets, site.diameter_mm / 2.0, pixel_mm, irregularity, rng)
    if spiculated:
        covered = np.maximum(covered, _spikes(offsets, site.diameter_mm / 2.0, pixel_mm, rng))
    drawn = np.zeros(site.voxels.shape, dtype=np.float32)
    drawn[box] = _seen(covered, site.spacing_mm, fine, blur)[fine // 2 :: fine]
    return drawn * site.alterable()


def _fine_steps(slice_mm: float) -> int:
    """Return an odd number of fine steps for one slice, so that the slice's middle is one of them."""
    return 2 * math.ceil(max(0.0, slice_mm / _FINE_MM - 1.0) / 2.0) + 1


def _box(site: Site, blur: Blur) -> tuple[slice, slice, slice]:
    """Bound what the nodule can reach, in voxels of the site."""
    longest = site.diameter_mm / 2.0 * _LONGEST_AXIS * (1.0 + _SPIKE_REACH[1])
    reach = min(longest, site.region_mm / 2.0) + _BLURS * blur.in_plane_mm + blur.thickness_mm / 2.0
    bounds = []
    for middle, side, step in zip(site.centre, site.voxels.shape, site.spacing_mm, strict=True):
        half = math.ceil(reach / step)
        bounds.append(slice(max(0, middle - half), min(side, middle + half + 1)))
    return bounds[0], bounds[1], bounds[2]


def _fine_offsets(site: Site, box: tuple[slice, slice, slice], fine: int) -> Offsets:
    """Give the offsets from the place along (slice, row, column) in mm, with fine steps through the slices."""
    along, down, across = (offset.ravel()[part] for offset, part in zip(site.offsets_mm(), box, strict=True))
    steps = (np.arange(fine, dtype=np.float32) - fine // 2) * np.float32(site.spacing_mm[0] / fine)
    return (along[:, None] + steps).reshape(-1, 1, 1), down[None, :, None], across[None, None, :]


def _body(offsets: Offsets, radius_mm: float, pixel_mm: float, irregularity: float, rng: np.random.Generator) -> Voxels:
    """Draw a turned ellipsoid of a mean radius, with lobes and notches."""
    turned = _turned(offsets, rng)
    axes = np.exp(rng.normal(0.0, irregularity / 2.0, 3))
    axes = np.minimum(axes / np.cbrt(axes.prod()), _LONGEST_AXIS)
    along, down, across = (part / np.float32(axis) for part, axis in zip(turned, axes, strict=True))
    length = np.sqrt(along**2 + down**2 + across**2)
    lobes = relative_radius((along, down, across), rng, 0.75 * irregularity)
    notches = relative_radius((along, down, across), rng, 0.35 * irregularity, _NOTCHES)
    return _covered(length - np.float32(radius_mm) * lobes * notches, pixel_mm)


def _turned(offsets: Offsets, rng: np.random.Generator) -> Offsets:
    """Turn about the origin at random."""
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    along, down, across = offsets
    first, second, third = (
        np.float32(axis[0]) * along + np.float32(axis[1]) * down + np.float32(axis[2]) * across for axis in axes
    )
    return first, second, third


def _spikes(offsets: Offsets, radius_mm: float, pixel_mm: float, rng: np.random.Generator) -> Voxels:
    """Draw thin, slightly bent spikes that leave the body in all directions and taper."""
    spikes = np.zeros(np.broadcast_shapes(*(offset.shape for offset in offsets)), dtype=np.float32)
    for _ in range(int(rng.integers(*_SPIKES))):
        along, beside, rest = _turned(offsets, rng)
        length = radius_mm * (1.0 + rng.uniform(*_SPIKE_REACH))
        part = np.clip(along / np.float32(length), 0.0, 1.0)
        bend = np.float32(rng.normal(0.0, 0.1 * length)) * part**2
        # The width counts from where the spike leaves the body.
        width = np.float32(rng.uniform(*_SPIKE_MM) * length / (length - 0.8 * radius_mm)) * (1.0 - part)
        spike = _covered(np.hypot(beside - bend, rest) - width, pixel_mm)
        spikes = np.maximum(spikes, spike * (along > 0.0))
    return spikes


def _covered(outside_mm: Voxels, pixel_mm: float) -> Voxels:
    """Return how much of a voxel is covered by what ends at a distance from its centre."""
    covered: Voxels = np.clip(0.5 - outside_mm / np.float32(pixel_mm), 0.0, 1.0)
    return covered


def _seen(covered: Voxels, spacing_mm: Spacing, fine: int, blur: Blur) -> Voxels:
    """Blur a shape as the scan does: a Gaussian within slices, a mean over their thickness."""
    thick = 2 * round((blur.thickness_mm * fine / spacing_mm[0] - 1.0) / 2.0) + 1
    averaged = ndimage.uniform_filter1d(covered, max(1, thick), axis=0, mode="nearest")
    sigma = [0.0, blur.in_plane_mm / spacing_mm[1], blur.in_plane_mm / spacing_mm[2]]
    seen: Voxels = ndimage.gaussian_filter(averaged, sigma, mode="nearest", truncate=_BLURS)
    return seen
