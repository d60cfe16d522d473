"""What can be done to the texture of a crop: each alteration keeps the anatomy and breaks the noise.

None of them is a generator that detectors are measured with: there is no adversarial network, no diffusion in-painting,
no Poisson blending and no biharmonic fill here. The strengths are drawn wide, so that no single one can be learned by
heart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.float32]
Denoise = Callable[[Image, float], Image]
"""Takes noise of a level in HU off an image in HU."""


@dataclass(frozen=True, eq=False)
class Material:
    """What an alteration may use.

    Attributes
    ----------
    crop
        float32 ``[row, column]`` in HU: what is altered.
    other
        float32 of the same shape: a crop of another scan.
    denoise
        The noise predictor at work.
    """

    crop: Image
    other: Image
    denoise: Denoise


Alteration = Callable[[np.random.Generator, Material], Image]


def blur(rng: np.random.Generator, material: Material) -> Image:
    """Smooth with a Gaussian of 0.4 to 1.6 pixels."""
    return _smooth(material.crop, rng.uniform(0.4, 1.6))


def resample(rng: np.random.Generator, material: Material) -> Image:
    """Shrink and enlarge again, by linear or cubic interpolation: generators work on a grid of their own."""
    crop = material.crop
    small = ndimage.zoom(crop, rng.uniform(0.45, 0.9), order=_order(rng))
    back = [old / new for old, new in zip(crop.shape, small.shape, strict=True)]
    return np.asarray(ndimage.zoom(small, back, order=_order(rng)), np.float32)


def median(rng: np.random.Generator, material: Material) -> Image:
    """Replace, in part or whole, each pixel by the median of its neighbourhood."""
    filtered = ndimage.median_filter(material.crop, 3)
    return np.asarray(material.crop + rng.uniform(0.4, 1.0) * (filtered - material.crop), np.float32)


def shift(rng: np.random.Generator, material: Material) -> Image:
    """Move by a part of a pixel, which interpolates the noise."""
    offset = rng.uniform(0.2, 0.8, 2)
    return np.asarray(ndimage.shift(material.crop, offset, order=_order(rng), mode="nearest"), np.float32)


def swap_texture(rng: np.random.Generator, material: Material) -> Image:
    """Lay the fine texture of another scan over the coarse anatomy of this one."""
    coarse = rng.uniform(1.0, 2.5)
    texture = material.other - _smooth(material.other, coarse)
    return np.asarray(_smooth(material.crop, coarse) + rng.uniform(0.6, 1.6) * texture, np.float32)


def copy_texture(rng: np.random.Generator, material: Material) -> Image:
    """Lay the texture of another place of the crop, turned, over the anatomy here, or copy all of it."""
    crop = material.crop
    moved = np.roll(np.rot90(crop, int(rng.integers(1, 4))), tuple(rng.integers(-20, 21, 2)), (0, 1))
    if rng.random() < 0.4:
        return np.ascontiguousarray(moved)
    coarse = rng.uniform(1.5, 5.0)
    return np.asarray(_smooth(crop, coarse) + moved - _smooth(moved, coarse), np.float32)


def add_noise(rng: np.random.Generator, material: Material) -> Image:
    """Add white or coloured noise."""
    return material.crop + _noise(rng, material.crop.shape, _width(rng)) * np.float32(rng.uniform(5.0, 35.0))


def smooth_and_renoise(rng: np.random.Generator, material: Material) -> Image:
    """Smooth, then add noise of about the strength that was taken away."""
    smooth = _smooth(material.crop, rng.uniform(0.8, 2.0))
    lost = float((material.crop - smooth).std())
    strength = np.clip(lost, 6.0, 45.0) * rng.uniform(0.5, 1.6)
    return smooth + _noise(rng, smooth.shape, _width(rng)) * np.float32(strength)


def upsampled_noise(rng: np.random.Generator, material: Material) -> Image:
    """Smooth, then add noise that was drawn on a coarser grid: what an upsampling generator leaves."""
    smooth = _smooth(material.crop, rng.uniform(0.8, 1.6))
    rows, columns = smooth.shape
    grid = rng.standard_normal((-(-rows // 2), -(-columns // 2)), dtype=np.float32)
    fine = np.asarray(ndimage.zoom(grid, 2, order=_order(rng)), np.float32)[:rows, :columns]
    return np.asarray(smooth + fine / fine.std() * np.float32(rng.uniform(5.0, 40.0)), np.float32)


def denoised(rng: np.random.Generator, material: Material) -> Image:
    """Take part of the noise away with the noise predictor."""
    clean = material.denoise(material.crop, rng.uniform(12.0, 40.0))
    return np.asarray(material.crop + rng.uniform(0.4, 1.2) * (clean - material.crop), np.float32)


def resynthesised(rng: np.random.Generator, material: Material) -> Image:
    """Noise the crop and take the noise off again, in one to three steps: local re-synthesis by diffusion."""
    image, level = material.crop, rng.uniform(25.0, 90.0)
    for _ in range(int(rng.integers(1, 4))):
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = material.denoise(image + noise * np.float32(level), level)
        level *= rng.uniform(0.3, 0.7)
    if rng.random() < 0.5:
        image = image + _noise(rng, image.shape, _width(rng)) * np.float32(rng.uniform(5.0, 35.0))
    return image


ALTERATIONS: Mapping[str, Alteration] = MappingProxyType(
    {
        "blur": blur,
        "resample": resample,
        "median": median,
        "shift": shift,
        "swap_texture": swap_texture,
        "copy_texture": copy_texture,
        "add_noise": add_noise,
        "smooth_and_renoise": smooth_and_renoise,
        "upsampled_noise": upsampled_noise,
        "denoised": denoised,
        "resynthesised": resynthesised,
    }
)


def _smooth(image: Image, sigma: float) -> Image:
    return np.asarray(ndimage.gaussian_filter(image, sigma), np.float32)


def _order(rng: np.random.Generator) -> int:
    """Linear or cubic interpolation."""
    return 1 if rng.random() < 0.5 else 3


def _width(rng: np.random.Generator) -> float:
    """How far noise is correlated, in pixels: white in a third of the cases."""
    return 0.0 if rng.random() < 0.33 else float(rng.uniform(0.3, 1.4))


def _noise(rng: np.random.Generator, shape: tuple[int, ...], width: float) -> Image:
    """Draw noise of unit strength, correlated over a width in pixels."""
    white = rng.standard_normal(shape, dtype=np.float32)
    if width == 0.0:
        return white
    coloured = _smooth(white, width)
    return np.asarray(coloured / coloured.std(), np.float32)
