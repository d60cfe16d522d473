"""Measuring real nodules, so that drawn ones can follow them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.errors import ForgeError
from tamperscan.forge.edges import edge_blur_px, scan_blur_px
from tamperscan.forge.grain import noise_level
from tamperscan.forge.lesions import Lesion
from tamperscan.forge.nodule_statistics import NoduleFigures
from tamperscan.forge.site import Mask, Voxels
from tamperscan.scan.volume import Scan

# Lung lies below, a solid nodule above.
_SOLID_HU: Final = -400.0
_EDGE_HU: Final = 400.0
_SHOWN_HU: Final = (-1024.0, 200.0)
# Calcium and gas in a core say nothing of its texture.
_CORE_HU: Final = (-200.0, 250.0)
# What is surely nodule: this near to the middle of the marked diameter, and this far from the border.
_CORE_PART: Final = 0.35
_CORE_BORDER_MM: Final = 3.0
_NEAR_PART: Final = 0.75
_LEAST_CORE: Final = 200
_LAGS: Final = 14
_RAYS: Final = 72
_RAY_STEP_MM: Final = 0.25
_MIDDLE_SLICES: Final = 2


def measure_nodules(marked: Iterable[tuple[Scan, list[Lesion]]]) -> list[NoduleFigures]:
    """Measure every marked nodule of some CT scans that is large enough to have a core.

    Parameters
    ----------
    marked
        Scans with their lesions, as from `tamperscan.forge.lesions.known_lesions`.

    Raises
    ------
    ForgeError
        If no nodule could be measured.
    """
    measured = [measure_nodule(scan, lesion) for scan, lesions in marked for lesion in lesions]
    found = [figures for figures in measured if figures is not None]
    if not found:
        raise ForgeError("No marked nodule is large enough to be measured. Give CT scans with larger ones.")
    return found


def measure_nodule(scan: Scan, lesion: Lesion) -> NoduleFigures | None:
    """Measure one marked nodule; None if it is too small to have a core."""
    part, distance = _cut(scan, lesion)
    pixel_mm = scan.spacing_mm[2]
    solid = (ndimage.gaussian_filter(part, (0, 1, 1)) > _SOLID_HU) & (distance < lesion.diameter_mm / 2.0)
    depth = ndimage.distance_transform_edt(np.pad(solid, 1), sampling=scan.spacing_mm)[1:-1, 1:-1, 1:-1]
    core = (depth > _CORE_BORDER_MM) & (distance < _CORE_PART * lesion.diameter_mm)
    if int(core.sum()) < _LEAST_CORE:
        return None
    texture_hu, correlation_mm = _texture(part, core, pixel_mm)
    return NoduleFigures(
        scan=scan.name,
        sha256=scan.sha256,
        diameter_mm=float(lesion.diameter_mm),
        density_hu=float(np.median(part[core])),
        edge_mm=_edge_mm(scan, part, distance < _NEAR_PART * lesion.diameter_mm),
        texture_hu=texture_hu,
        correlation_mm=correlation_mm,
        irregularity=_irregularity(scan, lesion),
    )


def _cut(scan: Scan, lesion: Lesion) -> tuple[Voxels, Voxels]:
    """Cut out the lesion's slices; with each voxel's distance from its middle in mm."""
    first, last = lesion.slice_range
    part = scan.voxels[first : last + 1]
    middle = (lesion.slice - first, lesion.row, lesion.column)
    axes = np.ogrid[tuple(slice(0, side) for side in part.shape)]
    squares = (((axis - at) * step) ** 2 for axis, at, step in zip(axes, middle, scan.spacing_mm, strict=True))
    distance: Voxels = np.sqrt(sum(squares)).astype(np.float32)
    return part, distance


def _edge_mm(scan: Scan, part: Voxels, near: Mask) -> float:
    """Compare the blur of the nodule's edges with that of all edges in its slices; blurs add as squares."""
    shown = np.clip(part, *_SHOWN_HU)
    found = [edge_blur_px(plane, _EDGE_HU, where) for plane, where in zip(shown, near, strict=True)]
    everywhere = scan_blur_px(shown, _EDGE_HU)
    here = float(np.median(np.concatenate(found))) if any(blurs.size for blurs in found) else everywhere
    return math.sqrt(max(0.0, here**2 - everywhere**2)) * scan.spacing_mm[2]


def _texture(part: Voxels, core: Mask, pixel_mm: float) -> tuple[float, float]:
    """Return the texture's standard deviation beyond the noise, and its correlation length in mm."""
    rest = np.clip(part, *_CORE_HU) - np.median(part[core])
    covariance = np.array([_covariance(rest, core, lag) for lag in range(_LAGS)])
    variance = max(0.0, float(covariance[0]) - noise_level(part, core) ** 2)
    below = np.flatnonzero(covariance < variance / math.e)
    lag = int(below[0]) if below.size else _LAGS
    return math.sqrt(variance), lag * pixel_mm


def _covariance(rest: Voxels, core: Mask, lag: int) -> float:
    """Average the products of pixels that lie some pixels apart, along rows and along columns."""
    pairs = []
    for axis in (1, 2):
        both = core & np.roll(core, -lag, axis)
        pairs.append((rest * np.roll(rest, -lag, axis))[both])
    products: NDArray[np.float32] = np.concatenate(pairs)
    return float(products.mean(dtype=np.float64)) if products.size else 0.0


def _irregularity(scan: Scan, lesion: Lesion) -> float:
    """Follow rays from the middle to the border in the middle slices; those that meet other tissue are left out."""
    angles = np.arange(_RAYS) * 2.0 * np.pi / _RAYS
    radii = np.arange(0.0, lesion.diameter_mm, _RAY_STEP_MM)
    rows = lesion.row + np.sin(angles)[:, None] * radii / scan.spacing_mm[1]
    columns = lesion.column + np.cos(angles)[:, None] * radii / scan.spacing_mm[2]
    first = max(lesion.slice_range[0], lesion.slice - _MIDDLE_SLICES)
    spreads = []
    for plane in scan.voxels[first : min(lesion.slice_range[1], lesion.slice + _MIDDLE_SLICES) + 1]:
        outside = ndimage.map_coordinates(ndimage.gaussian_filter(plane, 1), [rows, columns], order=1) < _SOLID_HU
        border = np.where(outside.any(axis=1), radii[outside.argmax(axis=1)], np.inf)
        border = border[border < _NEAR_PART * lesion.diameter_mm]
        if border.size > _RAYS // 3:
            spreads.append(float(border.std() / border.mean()))
    return float(np.median(spreads)) if spreads else 0.0
