"""A scan on a coarse grid, and where its body and its lungs are: what places are chosen by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.blocks import block_mean
from tamperscan.detect.regions import lung_mask
from tamperscan.forge.site import Index, Mask, Spacing, Voxels
from tamperscan.scan.volume import Scan

_PIXEL_MM: Final = 2.0
_BODY_HU: Final = -400.0
# In MR, air is dark; a body's darkest tissues hide behind brighter ones, and holes are filled.
_BODY_SIGNAL: Final = 0.1
_LEAST_BODY_CM2: Final = 4.0

_surveys: WeakKeyDictionary[Scan, Survey] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Survey:
    """A scan in pixels of about 2 mm; its slices are as they were.

    Attributes
    ----------
    values
        float32 ``[slice, row, column]``: averages over blocks of pixels.
    tissue
        bool ``[slice, row, column]``: where to tamper; the filled lungs in CT, the body in MR.
    spacing_mm
        Of the coarse grid.
    step
        Pixels of the scan along the side of a block.
    """

    values: Voxels
    tissue: Mask
    spacing_mm: Spacing
    step: int

    def room_mm(self, mask: Mask) -> NDArray[np.float64]:
        """Return how far each voxel inside a mask lies from its border; the scan's own border counts as one.

        A single slice has no border before and behind it.
        """
        around = 0 if len(mask) == 1 else 1
        padded = np.pad(mask, ((around, around), (1, 1), (1, 1)))
        room: NDArray[np.float64] = ndimage.distance_transform_edt(padded, sampling=self.spacing_mm)
        return room[around : around + len(mask), 1:-1, 1:-1]

    def smooth(self, values: Voxels, sigma_mm: float) -> Voxels:
        """Blur by a Gaussian of the same size along every axis."""
        blurred: Voxels = ndimage.gaussian_filter(values, [sigma_mm / step for step in self.spacing_mm], truncate=3.0)
        return blurred

    def index(self, coarse: NDArray[Any]) -> Index:
        """Return the scan's voxel in the middle of a block."""
        plane, row, column = (int(part) for part in coarse)
        return plane, row * self.step + self.step // 2, column * self.step + self.step // 2


def survey(scan: Scan) -> Survey:
    """Look a scan over; what was found is kept for as long as the scan is.

    Parameters
    ----------
    scan
        Any scan.
    """
    if scan not in _surveys:
        _surveys[scan] = _survey(scan)
    return _surveys[scan]


def _survey(scan: Scan) -> Survey:
    step = max(1, round(_PIXEL_MM / min(scan.spacing_mm[1:])))
    values = np.stack([block_mean(plane, step) for plane in scan.voxels])
    along, down, across = scan.spacing_mm
    spacing_mm = (along, down * step, across * step)
    if scan.modality == "CT":
        lungs = (lung_mask(plane, scan.spacing_mm[1:]) for plane in scan.voxels)
        tissue = np.stack([block_mean(lung.astype(np.float32), step) > 0.99 for lung in lungs])
    else:
        level = _level(scan)
        tissue = np.stack([_bright(plane, spacing_mm, level) for plane in values])
    return Survey(values, tissue, spacing_mm, step)


def body_mask(scan: Scan, index: int) -> Mask:
    """Find the body in one slice, with all the air in it.

    Parameters
    ----------
    scan
        Any scan.
    index
        Which slice.

    Returns
    -------
    bool ``[row, column]``.
    """
    plane, spacing_mm = scan.voxels[index], scan.spacing_mm
    if scan.modality != "CT":
        return _bright(plane, spacing_mm, _level(scan))
    solid, count = ndimage.label(ndimage.uniform_filter(plane, 3) > _BODY_HU)
    sizes = np.bincount(solid.ravel(), minlength=2)[1:]
    largest = solid == 1 + int(np.argmax(sizes)) if count else np.zeros(plane.shape, bool)
    body: Mask = ndimage.binary_fill_holes(largest) | lung_mask(plane, spacing_mm[1:])
    return body


def _level(scan: Scan) -> float:
    """Signal above which MR shows a body."""
    return _BODY_SIGNAL * float(np.percentile(scan.voxels[:: max(1, len(scan.voxels) // 16)], 99.0))


def _bright(plane: Voxels, spacing_mm: Spacing, level: float) -> Mask:
    """Find what is brighter than a level and large, holes filled."""
    sigma = [_PIXEL_MM / step for step in spacing_mm[1:]]
    labels, count = ndimage.label(ndimage.binary_fill_holes(ndimage.gaussian_filter(plane, sigma) > level))
    areas = np.bincount(labels.ravel(), minlength=count + 1) * spacing_mm[1] * spacing_mm[2] / 100.0
    large = areas >= _LEAST_BODY_CM2
    large[0] = False
    body: Mask = large[labels]
    return body
