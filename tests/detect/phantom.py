"""Chest scans made up for the tests: anatomy whose truth is known, with noise as a CT scanner makes it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.statistics import COVARIATES, WindowStatistics
from tamperscan.scan.volume import LOSSY, Scan, pixel_sha256

PIXEL_MM = 1.2
SLICE_MM = 5.0
SIDE = 256
NOISE_HU = 25.0
# Positions are (down, right) of the middle of the image, in mm.
LUNGS_MM = ((0.0, -62.0), (0.0, 62.0))
LUNG_AXES_MM = (64.0, 40.0)
PATCH_MM = 14.0
AXIAL = np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]


@dataclass(frozen=True, eq=False)
class Chest:
    """One axial slice: HU without noise, the noise, and where the lungs are (vessels included)."""

    clean: NDArray[np.float32]
    noise: NDArray[np.float32]
    lungs: NDArray[np.bool_]
    heart: NDArray[np.bool_]

    @property
    def hu(self) -> NDArray[np.float32]:
        return self.clean + self.noise


def chest(
    seed: int = 0,
    shape: tuple[int, int] = (SIDE, SIDE),
    pixel_mm: tuple[float, float] = (PIXEL_MM, PIXEL_MM),
    noise_hu: float = NOISE_HU,
) -> Chest:
    """Draw a chest; its vessels, its texture and its noise are by the seed."""
    rng = np.random.default_rng(seed)
    down, right = positions(shape, pixel_mm)
    image = np.full(shape, -1000.0, dtype=np.float32)
    image[(np.abs(right) < 120) & (np.abs(down - 112) < 2.5)] = 150.0  # the table
    image[ellipse(down, right, (0, 0), (98, 142))] = 30.0
    lungs = np.logical_or(*(ellipse(down, right, place, LUNG_AXES_MM) for place in LUNGS_MM))
    image[lungs] = parenchyma(rng, shape, pixel_mm)[lungs]
    for place, radius in vessels(rng):
        image[ellipse(down, right, place, (radius, radius)) & lungs] = 30.0
    image[ellipse(down, right, (-45, 0), (8, 8))] = -1000.0  # the trachea
    image = ndimage.gaussian_filter(image, 0.5)
    return Chest(image, grain(rng, shape, noise_hu), lungs, ellipse(down, right, (15, 0), (30, 15)))


def parenchyma(rng: np.random.Generator, shape: tuple[int, int], pixel_mm: tuple[float, float]) -> NDArray:
    """Lung tissue without noise: -860 HU, and small vessels that are not seen one by one."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), [4.0 / each for each in pixel_mm])
    return (-860 + 45 * field / field.std()).astype(np.float32)


def vessels(rng: np.random.Generator) -> list[tuple[tuple[float, float], float]]:
    """Draw (place, radius) of thirty vessels, cut across."""
    drawn = []
    for middle in LUNGS_MM * 15:
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.9)
        place = (middle[0] + reach * 64 * np.sin(angle), middle[1] + reach * 40 * np.cos(angle))
        drawn.append((place, rng.uniform(1.5, 4.0)))
    return drawn


def positions(shape: tuple[int, int], pixel_mm: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance of each pixel (down, right) of the middle."""
    rows, columns = np.indices(shape)
    return (
        (rows - (shape[0] - 1) / 2) * pixel_mm[0],
        (columns - (shape[1] - 1) / 2) * pixel_mm[1],
    )


def ellipse(
    down: NDArray[np.float64], right: NDArray[np.float64], middle: tuple[float, float], axes: tuple[float, float]
) -> NDArray[np.bool_]:
    return ((down - middle[0]) / axes[0]) ** 2 + ((right - middle[1]) / axes[1]) ** 2 < 1


def grain(rng: np.random.Generator, shape: tuple[int, int], noise_hu: float, blur_px: float = 0.7) -> NDArray:
    """Gaussian noise with the grain of a reconstruction kernel."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), blur_px)
    return (noise * noise_hu / noise.std()).astype(np.float32)


def disc(row: int, column: int, radius_mm: float = PATCH_MM, shape: tuple[int, int] = (SIDE, SIDE)) -> NDArray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - row, columns - column) * PIXEL_MM <= radius_mm


def chest_scan(seed: int = 0, slices: int = 4, **changes: object) -> Scan:
    """Make a patient: vessels and noise differ by slice, the strength of the noise by patient."""
    noise_hu = np.random.default_rng(seed).uniform(20, 30)
    voxels = np.stack([chest(1000 * seed + index, noise_hu=noise_hu).hu for index in range(slices)])
    return scan_of(voxels, **{"name": f"patient-{seed}", **changes})


def scan_of(voxels: NDArray[np.float32], **changes: object) -> Scan:
    facts = {"spacing_mm": (SLICE_MM, PIXEL_MM, PIXEL_MM), "modality": "CT", "name": "scan", "affine": AXIAL}
    return Scan(np.asarray(voxels, np.float32), **{"sha256": pixel_sha256(voxels), **facts, **changes})


def lossy(scan: Scan) -> Scan:
    return replace(scan, warnings=(f"{LOSSY} (JPEG).",))


def with_patch(scan: Scan, slices: range, row: int, column: int, noise_hu: float, blur_px: float = 0.0) -> Scan:
    """Replace the noise in a ball's discs by noise of another grain, as in-painting does."""
    voxels = scan.voxels.copy()
    rng = np.random.default_rng(77)
    for index in slices:
        clean = chest(1000 * int(scan.name.split("-")[1]) + index).clean
        place = disc(row, column)
        voxels[index][place] = (clean + grain(rng, clean.shape, noise_hu, blur_px))[place]
    return replace(scan, voxels=voxels)


def made_up_windows(seed: int = 0, side: int = 48, spread: float = 0.1) -> WindowStatistics:
    """Windows of two lungs on a coarse grid, all tissues everywhere, statistics independent of anatomy."""
    rng = np.random.default_rng(seed)
    down, right = positions((side, side), (1 / side, 1 / side))
    inside = np.logical_or(*(ellipse(down, right, (0, right_of), (0.42, 0.2)) for right_of in (-0.25, 0.25)))
    covariates = ndimage.gaussian_filter(rng.normal(0, 1, (len(COVARIATES), side, side)), (0, 3, 3)) * 4
    covariates[4:7] = down, right, np.hypot(down, right)
    energy = rng.normal(0, spread, (3, side, side)).astype(np.float32)
    whiteness = rng.normal(1, spread, (3, side, side)).astype(np.float32)
    energy, whiteness = (np.where(inside, values, np.float32(np.nan)) for values in (energy, whiteness))
    return WindowStatistics(energy, whiteness, covariates.astype(np.float32), inside)
