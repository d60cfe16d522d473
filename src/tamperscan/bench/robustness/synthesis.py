"""Treatments that make content anew: copied noise, and a low-strength pass of a diffusion model.

The diffusion model is the packaged one of the forging method 'diffusion'. No detector learned from what it makes.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from tamperscan.bench.robustness.subjects import Image, TestSlice
from tamperscan.forge.diffusion import Diffusion, make
from tamperscan.forge.grain import noise_level, without_grain
from tamperscan.forge.site import Place, Site, cut_site
from tamperscan.forge.touch_up import touch_up

# What is treated around a place: all of it within the first radius, nothing beyond the second.
_WHOLE_MM: Final = 12.0
_REACH_MM: Final = 16.0
_LESION_MM: Final = 16.0
# The part of the noise levels that the image is taken up before the model brings it down again, and in how many steps.
_STRENGTH: Final = 0.1
_STEPS: Final = 5


def touched_up(subject: TestSlice) -> Image:
    """Take the place's own grain away, and lay noise on it that is copied from elsewhere in the slice.

    Raises
    ------
    ForgeError
        If the slice holds too little healthy lung to copy noise from.
    """
    site = _site(subject)
    weight = _weight(site)
    clean = without_grain(site.voxels, noise_level(site.voxels))
    altered = site.voxels + weight * (clean - site.voxels)
    return _put_back(subject, site, touch_up(site, altered, weight, "copied", subject.generator("touch-up")))


def place_regenerated(subject: TestSlice) -> Image:
    """Noise the place a little and have the diffusion model take the noise off."""
    site = _site(subject)
    return _put_back(subject, site, _regenerate(subject, site.voxels, _weight(site)))


def regenerated(subject: TestSlice) -> Image:
    """Do the same with the whole slice."""
    whole: Image = _regenerate(subject, subject.scan.voxels, np.ones_like(subject.scan.voxels))[0]
    return whole


def _regenerate(subject: TestSlice, voxels: Image, share: Image) -> Image:
    """Draw voxels anew where the share, 0 to 1, is above 0: later, and so less, where it is low."""
    release = (share * np.float32(_STRENGTH)).astype(np.float32)
    return _model().regenerate(voxels, release, subject.scan.spacing_mm, subject.generator("regenerate"))


def _site(subject: TestSlice) -> Site:
    row, column = subject.place
    return cut_site(subject.scan, Place(0, row, column, _LESION_MM))


def _weight(site: Site) -> Image:
    """Return float32 ``[slice, row, column]``: 1 within the first radius, falling to 0 at the second."""
    left = (_REACH_MM - site.distance_mm()) / (_REACH_MM - _WHOLE_MM)
    weight: Image = np.clip(left, 0.0, 1.0).astype(np.float32)
    return weight


def _put_back(subject: TestSlice, site: Site, altered: Image) -> Image:
    image = subject.scan.voxels.copy()
    image[site.box] = altered
    whole: Image = image[0]
    return whole


@cache
def _model() -> Diffusion:
    return make(steps=_STEPS, rounds=1)
