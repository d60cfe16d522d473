"""Compose one training crop: authentic or altered in a soft mask, with nodules on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.pretexts.alterations import ALTERATIONS, Denoise, Material
from tamperscan.detect.pretexts.shapes import Shape, draw_blob, draw_bump, draw_disc

Image = NDArray[np.float32]
Draw = Callable[[np.random.Generator], Image]

# A crop that is altered everywhere is consistent, and so authentic: only a place that differs from its surroundings
# counts, and no kernel, dose or reconstruction by itself.
_GLOBAL_SHARE = 0.3
# Bumps that keep the noise of the scan are authentic: it is not the nodule that betrays a forgery.
_NODULE_SHARE = 0.35
_FORGED_SHARE = 0.75
# Of the forged crops, so many are altered around a nodule (put in and re-textured) ...
_INJECTION_SHARE = 0.35
# ... so many have their structures filled before (taken out and re-textured), and so many are altered twice.
_REMOVAL_SHARE = 0.25
_TWICE_SHARE = 0.25
_SOFT_TISSUE_HU = (20.0, 50.0)
_SUBSOLID_HU = (-400.0, 150.0)
_SUBSOLID_SHARE = 0.2
_THIN_HU = -500.0


@dataclass(frozen=True, eq=False)
class ForgedCrop:
    """A crop and what was altered in it.

    Attributes
    ----------
    hu
        float32 ``[row, column]`` in whole HU.
    mask
        float32 of the same shape: how far each pixel was altered, 0 to 1; all 0 in an authentic crop.
    """

    hu: Image
    mask: Image


def forge_crop(rng: np.random.Generator, draw: Draw, denoise: Denoise, *, bright: bool = False) -> ForgedCrop:
    """Make one training crop.

    Parameters
    ----------
    rng
        Decides everything.
    draw
        Draws a square authentic crop in HU.
    denoise
        Takes noise of a level in HU off an image in HU.
    bright
        Whether most places are chosen where the crop is bright (the body, in MR) and not where it is dark (the lung).
    """
    crop = draw(rng)
    if rng.random() < _GLOBAL_SHARE:
        crop = alter_everywhere(rng, crop)
    if rng.random() < _NODULE_SHARE:
        crop = add_nodule(rng, crop, draw_bump(rng, crop, bright=bright))
    mask = np.zeros_like(crop)
    if rng.random() < _FORGED_SHARE:
        crop, mask = _alter_in_mask(rng, crop, draw(rng), denoise, bright)
    # Authentic pixels are whole numbers; a fraction left behind would betray every alteration.
    return ForgedCrop(np.rint(crop), mask)


def add_nodule(rng: np.random.Generator, crop: Image, bump: Shape) -> Image:
    """Raise the density inside a bump to that of a nodule, and keep the noise that is there."""
    mean, spread = _SUBSOLID_HU if rng.random() < _SUBSOLID_SHARE else _SOFT_TISSUE_HU
    density = rng.normal(mean, spread)
    coarse = ndimage.gaussian_filter(crop, 3.0)
    lift = np.maximum(density - coarse, 0.0) * bump.mask
    # The edges of vessels inside would shine through; only what is fine and weak is noise.
    texture = np.clip(crop - coarse, -120.0, 120.0)
    raised = coarse + lift + texture
    return np.asarray(bump.mask * raised + (1 - bump.mask) * crop, np.float32)


def remove_structures(rng: np.random.Generator, crop: Image, shape: Shape) -> Image:
    """Fill a place by the thin tissue around it, smoothly; a place without any is filled by all that is around it."""
    weight = 1 - np.clip(shape.mask * 1.5, 0.0, 1.0)
    thin = weight * (crop < _THIN_HU)
    width = shape.radius * rng.uniform(0.4, 0.8)
    if thin.sum() > 0.3 * weight.sum():
        weight = thin
    total = ndimage.gaussian_filter(weight, width)
    filled = ndimage.gaussian_filter(crop * weight, width) / np.maximum(total, 1e-6)
    return np.asarray(crop + shape.mask * (filled - crop), np.float32)


def alter_everywhere(rng: np.random.Generator, crop: Image) -> Image:
    """Alter a whole crop as another scanner, dose or kernel would."""
    kind = rng.integers(4)
    if kind == 0:
        return np.asarray(ndimage.gaussian_filter(crop, rng.uniform(0.3, 0.8)), np.float32)
    if kind == 1:
        noise = ndimage.gaussian_filter(rng.standard_normal(crop.shape, dtype=np.float32), rng.uniform(0.3, 0.9))
        return np.asarray(crop + noise / noise.std() * np.float32(rng.uniform(3.0, 25.0)), np.float32)
    coarse = ndimage.gaussian_filter(crop, rng.uniform(0.8, 2.0))
    factor = rng.uniform(1.2, 1.8) if kind == 2 else rng.uniform(0.6, 1.4)
    return np.asarray(coarse + factor * (crop - coarse), np.float32)


def _alter_in_mask(
    rng: np.random.Generator, crop: Image, other: Image, denoise: Denoise, bright: bool
) -> tuple[Image, Image]:
    side, before = len(crop), crop
    if rng.random() < _INJECTION_SHARE:
        bump = draw_bump(rng, crop, bright=bright)
        before = add_nodule(rng, crop, bump)
        shape = draw_disc(rng, side, bump.centre, bump.radius * rng.uniform(1.1, 2.2))
    else:
        shape = draw_blob(rng, crop, bright=bright)
        if rng.random() < _REMOVAL_SHARE:
            before = remove_structures(rng, crop, shape)
    altered = _alter(rng, Material(before, other, denoise))
    if rng.random() < _TWICE_SHARE:
        altered = _alter(rng, Material(altered, other, denoise))
    forged = crop + shape.mask * (altered - crop)
    return np.asarray(forged, np.float32), shape.mask


def _alter(rng: np.random.Generator, material: Material) -> Image:
    names = list(ALTERATIONS)
    return ALTERATIONS[names[int(rng.integers(len(names)))]](rng, material)
