"""Small scans made up for the tests of the classical methods: lung beside a chest wall, or MR tissue, with grain."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from tamperscan.forge.site import Place, cut_site
from tamperscan.scan.volume import Scan

LUNG_HU = -850.0
WALL_HU = 40.0
NOISE_HU = 20.0
SPACING = (2.5, 1.0, 1.0)
SHAPE = (20, 96, 96)
MIDDLE = Place(10, 48, 40, 12.0)
WALL_FROM = 84


def distance_mm(shape, centre, spacing):
    axes = np.ogrid[tuple(slice(0, side) for side in shape)]
    return np.sqrt(sum(((axis - at) * step) ** 2 for axis, at, step in zip(axes, centre, spacing, strict=True)))


def grain(shape, level=NOISE_HU, seed=0):
    """Noise with the grain of a reconstruction kernel."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal(shape), (0, 0.7, 0.7))
    return level * noise / noise.std()


def lung_scan(seed=0, *, shape=SHAPE, spacing=SPACING, balls=(), noise_hu=NOISE_HU, **changes):
    """Lung in a frame of tissue, with a chest wall on the right; ``balls`` are (slice, row, column, diameter_mm)."""
    voxels = np.full(shape, LUNG_HU)
    voxels[:, :, WALL_FROM:] = WALL_HU
    for edge in (np.s_[:, :3], np.s_[:, -3:], np.s_[:, :, :3], np.s_[:, :, -3:]):
        voxels[edge] = WALL_HU
    for *centre, diameter in balls:
        inside = np.clip(0.5 - (distance_mm(shape, centre, spacing) - diameter / 2), 0, 1)
        voxels += inside * (WALL_HU - voxels)
    voxels = ndimage.gaussian_filter(voxels, (0, 0.6, 0.6)) + grain(shape, noise_hu, seed)
    facts = {"modality": "CT", "name": "lung", "sha256": "0" * 64, **changes}
    return Scan(np.rint(voxels).astype(np.float32), spacing, **facts)


def mr_scan(seed=0, *, shape=SHAPE, spacing=SPACING, balls=(), gain=1.0, **changes):
    """Dark tissue of 100 with bright tissue of 600 on the right; ``balls`` are bright."""
    scan = lung_scan(seed, shape=shape, spacing=spacing, balls=balls)
    signal = 100 + (scan.voxels - LUNG_HU) * 500 / (WALL_HU - LUNG_HU)
    return Scan((gain * signal).astype(np.float32), spacing, "MR", changes.pop("name", "tissue"), **changes)


def site_at(scan, place=MIDDLE):
    return cut_site(scan, place)


def high_pass_std(voxels, where):
    """How strong the noise is, whatever lies beneath it."""
    return float((voxels - ndimage.gaussian_filter(voxels, (0, 2, 2)))[where].std())
