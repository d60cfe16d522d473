"""What in-painting is told: which voxels it may draw anew, and a rough nodule or empty tissue for it to finish."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy import ndimage

from tamperscan.forge.blending import fill_harmonic
from tamperscan.forge.outline import Offsets, relative_radius, soft_mask
from tamperscan.forge.site import Site, Voxels
from tamperscan.scan.windows import IntensityWindow

# A lesion pulls at what is around it, and a reader's mark seldom takes in all of it.
_MARGIN_MM: Final = 3.0
_EDGE_MM: Final = 4.0
_LEAST_EDGE_MM: Final = 1.5

# Solid nodules and tumours without calcium: the marked lesions of the training patients have medians of 20 to 96 HU.
_DENSITY_HU: Final = (20.0, 90.0)
_LOBULATION: Final = 0.1
_STRETCH: Final = 0.1
_NODULE_EDGE_MM: Final = 1.2
# The level of the tissue around each voxel, whatever vessels run through it: most of a lung is parenchyma.
_LEVEL_MM: Final = 14.0
_LEVEL_PERCENTILE: Final = 30.0
# A thick slice shows the mean over its thickness.
_SUBSLICES: Final = 5


def release_map(site: Site, window: IntensityWindow, rng: np.random.Generator) -> Voxels:
    """Draw an irregular blob around the lesion within which voxels may change, with a soft border.

    Parameters
    ----------
    site
        Where, and how large the lesion is.
    window
        What the model can draw. Voxels beyond it, such as bone, are left out unless they belong to the lesion.
    rng
        Decides the form.

    Returns
    -------
    float32 ``[slice, row, column]``: 1 at the lesion and close to it, falling to 0 at the border of the blob, which
    lies inside the cube that may be altered.
    """
    half = site.region_mm / 2.0
    core = min(site.diameter_mm / 2.0 + _MARGIN_MM, half - _LEAST_EDGE_MM)
    share = soft_mask(site, core, min(_EDGE_MM, half - core), rng)
    beyond = (site.voxels < window.low) | (site.voxels > window.high)
    share[beyond & (site.distance_mm() > site.diameter_mm / 2.0)] = 0.0
    return share


def paste_nodule(site: Site, within: Voxels, rng: np.random.Generator) -> Voxels:
    """Paste a rough solid nodule: a lobulated ellipsoid of even density with soft edges.

    Parameters
    ----------
    site
        Where, and of what diameter.
    within
        float32 ``[slice, row, column]``, 0 to 1: how much of the nodule shows, as from `release_map`.
    rng
        Decides shape and density.

    Returns
    -------
    float32 ``[slice, row, column]`` in HU. What is denser than the nodule stays.
    """
    density = np.float32(rng.uniform(*_DENSITY_HU))
    share = nodule_share(site, rng) * within
    pasted: Voxels = site.voxels + share * np.maximum(density - site.voxels, np.float32(0.0))
    return pasted


def fill_lesion(site: Site, share: Voxels) -> Voxels:
    """Fill the lesion in by the smooth level of its surroundings, for a model to draw the tissue on.

    Without it a model that has seen many vessels and nodules may well draw one where another was.

    Parameters
    ----------
    site
        Where.
    share
        float32 ``[slice, row, column]``, as from `release_map`; filled where it is 1.

    Returns
    -------
    float32 ``[slice, row, column]`` in HU.
    """
    core = share >= 1.0
    guide: Voxels = np.where(core, fill_harmonic(_level(site), core, site.spacing_mm), site.voxels).astype(np.float32)
    return guide


def _level(site: Site) -> Voxels:
    """Find the level of the tissue in each slice; at every second pixel, which is as good and ten times as fast."""
    sides = [max(1, round(_LEVEL_MM / step / 2.0)) for step in site.spacing_mm[1:]]
    coarse = ndimage.percentile_filter(site.voxels[:, ::2, ::2], _LEVEL_PERCENTILE, size=(1, *sides))
    level: Voxels = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, : site.voxels.shape[1], : site.voxels.shape[2]]
    return level


def nodule_share(site: Site, rng: np.random.Generator) -> Voxels:
    """Return float32 ``[slice, row, column]``: which part of each voxel the nodule takes up.

    Its diameter is the site's, on average over the directions; half of the edge lies inside of it.
    """
    stretch = np.exp(rng.normal(0.0, _STRETCH, 3))
    stretch /= np.cbrt(stretch.prod())
    waves = rng.integers(2**32)
    along, down, across = site.offsets_mm()
    steps = (np.arange(_SUBSLICES) + 0.5) / _SUBSLICES - 0.5
    thickness = 0.0 if site.planar else site.spacing_mm[0]
    shares = []
    for step in steps * thickness:
        shifted = ((along + np.float32(step)) / stretch[0], down / stretch[1], across / stretch[2])
        shares.append(_share_of(_as_offsets(shifted), site.diameter_mm / 2.0, np.random.default_rng(waves)))
    mean: Voxels = np.mean(shares, axis=0, dtype=np.float32)
    return mean


def _share_of(offsets_mm: Offsets, radius_mm: float, rng: np.random.Generator) -> Voxels:
    length: Voxels = np.sqrt(offsets_mm[0] ** 2 + offsets_mm[1] ** 2 + offsets_mm[2] ** 2)
    outside = length - np.float32(radius_mm) * relative_radius(offsets_mm, rng, _LOBULATION)
    share: Voxels = np.clip(0.5 - outside / np.float32(_NODULE_EDGE_MM), 0.0, 1.0)
    return share


def _as_offsets(offsets: tuple[Voxels, ...]) -> Offsets:
    along, down, across = (offset.astype(np.float32) for offset in offsets)
    return along, down, across
