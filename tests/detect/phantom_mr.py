"""A made-up body in a made-up MR scanner: one coil, a magnitude image, less and less of it towards k-space's edge."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tamperscan.scan.volume import Scan

SPACING = (3.0, 0.8, 0.8)
SIDE = 256
# Signal of the body's tissue, its bright parts and the fat around it; the noise of the receiver.
TISSUE, BRIGHT, FAT, SIGMA = 110.0, 240.0, 300.0, 22.0
# In the middle of the body.
PLACE = (128, 128)


def body_radius(side=SIDE):
    """Distance from the middle over that of the skin: below 1 inside the body."""
    down, right = np.indices((side, side)) / (side / 2) - 1
    return np.hypot(down / 0.8, right / 0.75)


def mr_slice(rng, *, side=SIDE, sigma=SIGMA, gain=1.0):
    """One slice, float32 of whole numbers."""
    radius = body_radius(side)
    texture = ndimage.gaussian_filter(rng.standard_normal((side, side)), 5)
    texture /= texture.std()
    signal = np.where(radius < 1, np.where(texture > 1.2, BRIGHT, TISSUE + 8 * texture), 0.0)
    signal = np.where((radius < 1) & (radius > 0.93), FAT, signal)
    signal = ndimage.gaussian_filter(signal, 0.7)
    noise = rng.normal(0, sigma, (side, side)) + 1j * rng.normal(0, sigma, (side, side))
    return (np.rint(np.abs(_apodised(signal + noise)) * gain)).astype(np.float32)


def _apodised(image):
    """Weaken the outer parts of k-space and leave out some lines, as scanners do."""
    frequency = np.abs(np.fft.fftfreq(len(image)))
    weight = np.exp(-((frequency / 0.32) ** 2) / 2)
    return np.fft.ifft2(np.fft.fft2(image) * (weight * (frequency < 0.4))[:, None] * weight[None, :])


def mr_scan(seed=0, slices=4, **settings):
    """A short series."""
    rng = np.random.default_rng(seed)
    voxels = np.stack([mr_slice(rng, **settings) for _ in range(slices)])
    return Scan(voxels, SPACING, "MR", f"mr-{seed}", sha256=f"{seed}")


def smoothed_mr(scan, radius_px=18, blur_px=2.0):
    """The same scan with a disc in every slice in-painted smoothly."""
    down, right = np.indices(scan.shape[1:])
    disc = np.hypot(down - PLACE[0], right - PLACE[1]) < radius_px
    blurred = ndimage.gaussian_filter(scan.voxels, (0, blur_px, blur_px))
    return Scan(np.where(disc, np.rint(blurred), scan.voxels).astype(np.float32), SPACING, "MR", scan.name)
