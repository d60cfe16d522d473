"""Touch-up: noise for what a generator made, as what it makes is smoother than the scan around it.

CT-GAN knows two ways (Mirsky et al., USENIX Security 2019, section 5): Gaussian noise that is enlarged by interpolation
until its grain fits, and noise copied from elsewhere in the same scan. Here both are scaled so that the place ends up
as noisy as the lung around it.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

import numpy as np
from scipy import ndimage

from tamperscan.detect.regions import tissues
from tamperscan.errors import ForgeError
from tamperscan.forge.cube import SIDE, resample_cube
from tamperscan.forge.grain import noise_level
from tamperscan.forge.site import Mask, Site, Voxels

TouchUp = Literal["copied", "interpolated"]
TOUCH_UPS: Final[tuple[TouchUp, ...]] = get_args(TouchUp)

_SMOOTHING_PX = 1.5
_HIGH_PASS_PX = 3.0
_EMPTY_HU = -970.0
_FLAT_HU_PER_PX = 40.0
_LUNGLIKE_HU = (-960.0, -700.0)
# Faint vessels come along, as they do in lung; strong ones would show where they were cut off.
_STRONG_VESSEL_HU = -600.0
_VESSEL_REACH_PX = 3
_CANDIDATES = 300
# As much farther as this, a source has to hold nothing but lung to be as good as a near one that holds none.
_FAR_MM = 150.0
_SOURCES = 5
_LEAST_COVER = 0.5
_FEWEST_VOXELS = 50


def touch_up(site: Site, altered: Voxels, weight: Voxels, kind: TouchUp, rng: np.random.Generator) -> Voxels:
    """Add noise to an altered place until it is as noisy as the lung around it.

    Parameters
    ----------
    site
        The surroundings of the place.
    altered
        float32 ``[slice, row, column]`` in HU: the site's voxels, altered.
    weight
        float32 ``[slice, row, column]``: how much each voxel was altered, 0 to 1.
    kind
        ``"copied"`` from elsewhere in the scan, or ``"interpolated"`` Gaussian noise.
    rng
        Decides where from, or the noise itself.

    Returns
    -------
    float32 ``[slice, row, column]`` in HU; differs from ``altered`` only where the weight is not 0.

    Raises
    ------
    ForgeError
        If the scan holds too little healthy lung to copy noise from.
    """
    wanted = measured_noise(site.voxels, weight == 0)
    present = measured_noise(altered, weight > 0.99)
    missing = float(np.sqrt(max(0.0, wanted**2 - present**2)))
    noise = _copied(site, weight > 0, rng) if kind == "copied" else _interpolated(site, rng)
    level = noise_level(noise, weight > 0)
    if missing == 0.0 or level == 0.0:
        return altered
    touched: Voxels = altered + weight * noise * np.float32(missing / level)
    return touched


def measured_noise(voxels: Voxels, where: Mask) -> float:
    """Measure the noise of a place in lung tissue, or in what is flat where there is little lung.

    Parameters
    ----------
    voxels
        float32 ``[slice, row, column]`` in HU.
    where
        bool ``[slice, row, column]``: where to measure.

    Returns
    -------
    float
        Standard deviation in HU; 0 where there are too few voxels.
    """
    lung = where & parenchyma(voxels)
    if lung.sum() < _FEWEST_VOXELS:
        slope = np.stack([ndimage.gaussian_gradient_magnitude(plane, _SMOOTHING_PX) for plane in voxels])
        lung = where & (slope < _FLAT_HU_PER_PX)
    return noise_level(voxels, lung) if lung.sum() >= _FEWEST_VOXELS else 0.0


def high_pass(voxels: Voxels) -> Voxels:
    """Take away what a Gaussian filter of 3 pixels leaves, slice by slice."""
    residual: Voxels = voxels - ndimage.gaussian_filter(voxels, (0.0, _HIGH_PASS_PX, _HIGH_PASS_PX), mode="nearest")
    return residual


def parenchyma(voxels: Voxels) -> Mask:
    """Find flat lung tissue, bool ``[slice, row, column]``."""
    return np.stack([tissues(plane, np.ones(plane.shape, dtype=bool)).parenchyma for plane in voxels])


def _texture(voxels: Voxels) -> Mask:
    """Find lung with its faint vessels: no strong vessel, wall or empty air within three pixels in its slice."""
    smooth = ndimage.gaussian_filter(voxels, (0.0, _SMOOTHING_PX, _SMOOTHING_PX), mode="nearest")
    other = (smooth > _STRONG_VESSEL_HU) | (smooth < _EMPTY_HU)
    reach = 2 * _VESSEL_REACH_PX + 1
    texture: Mask = ~ndimage.maximum_filter(other, size=(1, reach, reach))
    return texture


def _interpolated(site: Site, rng: np.random.Generator) -> Voxels:
    """Gaussian noise on the grid of the cube, brought to the scan's by splines."""
    return resample_cube(site, rng.standard_normal((SIDE, SIDE, SIDE), dtype=np.float32))


def _copied(site: Site, where: Mask, rng: np.random.Generator) -> Voxels:
    """Take the noise of healthy lung from elsewhere in the scan; several sources where one has vessels in the way."""
    box = _bounds(where)
    noise = np.zeros(tuple(part.stop - part.start for part in box), dtype=np.float32)
    empty = np.ones(noise.shape, dtype=bool)
    for source in _sources(site, box, rng):
        voxels = site.scan.voxels[source]
        usable = empty & _texture(voxels)
        noise[usable] = high_pass(voxels)[usable]
        empty &= ~usable
    if empty.mean() > 1.0 - _LEAST_COVER:
        raise ForgeError(
            f"{site.scan.name}: holds too little healthy lung to copy noise from. Choose interpolated noise"
            " (touch_up=interpolated), or another place."
        )
    whole = np.zeros(site.voxels.shape, dtype=np.float32)
    whole[box] = noise
    return whole


def _bounds(where: Mask) -> tuple[slice, slice, slice]:
    first, second, third = ndimage.find_objects(where.astype(np.uint8))[0]
    return first, second, third


def _sources(site: Site, box: tuple[slice, slice, slice], rng: np.random.Generator) -> list[tuple[slice, slice, slice]]:
    """Draw boxes elsewhere in the scan; near ones that hold much lung come first: noise differs across the body."""
    sides = [part.stop - part.start for part in box]
    here = [first + part.start for first, part in zip(site.start, box, strict=True)]
    rated = []
    for _ in range(_CANDIDATES):
        corner = [int(rng.integers(0, side - size + 1)) for side, size in zip(site.scan.shape, sides, strict=True)]
        if all(abs(a - b) < size for a, b, size in zip(corner, here, sides, strict=True)):
            continue
        along, down, across = (slice(a, a + size) for a, size in zip(corner, sides, strict=True))
        sample = site.scan.voxels[along, down, across][::3, ::3, ::3]
        lunglike = float(((sample > _LUNGLIKE_HU[0]) & (sample < _LUNGLIKE_HU[1])).mean())
        gaps = [(a - b) * step for a, b, step in zip(corner, here, site.spacing_mm, strict=True)]
        rated.append((lunglike - float(np.linalg.norm(gaps)) / _FAR_MM, (along, down, across)))
    rated.sort(key=lambda entry: -entry[0])
    return [source for _, source in rated[:_SOURCES]]
