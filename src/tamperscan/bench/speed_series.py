"""Series that speed is measured on: a real one that is repeated, or a phantom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.subjects import CT_FOLDER
from tamperscan.scan import Scan, read_scan

SERIES = "series/LIDC-IDRI-0001_*"
_PHANTOM_SIDE = 512
Slices = NDArray[np.float32]


def long_series(data: Path, count: int) -> Scan:
    """Repeat a real series, forth and back, until there are so many slices; a phantom where there is none."""
    series = sorted((data / CT_FOLDER).glob(SERIES))
    scan = read_scan(series[0]) if series else phantom(min(count, 8))
    there_and_back = [*range(scan.shape[0]), *reversed(range(scan.shape[0]))]
    return replace(scan, voxels=scan.voxels[np.resize(there_and_back, count)])


def evenly(scan: Scan, count: int) -> Scan:
    """Take so many slices of a scan, at equal distances."""
    indices = np.linspace(0, scan.shape[0] - 1, min(count, scan.shape[0])).round().astype(int)
    return replace(scan, voxels=scan.voxels[indices])


def phantom(slices: int) -> Scan:
    """Make a chest of two noisy lungs in a noisy body, 512 x 512 pixels of 0.7 mm."""
    rows, columns = np.mgrid[:_PHANTOM_SIDE, :_PHANTOM_SIDE].astype(np.float32)
    image = np.full((_PHANTOM_SIDE, _PHANTOM_SIDE), -1000.0, dtype=np.float32)
    image[_ellipse(rows, columns, (256, 256), (170, 230))] = 40.0
    for middle in (150, 362):
        image[_ellipse(rows, columns, (250, middle), (120, 80))] = -850.0
    noise = np.random.default_rng(0).normal(0.0, 25.0, (slices, *image.shape)).astype(np.float32)
    return Scan(voxels=image + noise, spacing_mm=(2.5, 0.7, 0.7), modality="CT", name="phantom")


def _ellipse(
    rows: Slices, columns: Slices, centre: tuple[float, float], radii: tuple[float, float]
) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 < 1.0
    return inside
