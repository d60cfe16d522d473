"""Where copymove takes voxels from: patches of a scan, turned and mirrored, and how well each would fit a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.forge.site import Index, Mask, Site, Spacing, Voxels
from tamperscan.scan.volume import Scan

# Distances of voxels that differ less than this are the same: whole voxels are copied.
_SAME_SPACING: Final = 1e-3
# A cubic spline looks this far; what is resampled is cut out with so much around it.
_SPLINE_REACH: Final = 3
_RING_MM: Final = 3.0

Offsets = NDArray[np.int64]
Centres = NDArray[np.int64]


@dataclass(frozen=True)
class Turn:
    """A way to lay a patch down that needs no interpolation: mirrored or not, then turned by quarters in the slice."""

    quarters: int = 0
    mirrored: bool = False

    def apply(self, offsets: Offsets) -> Offsets:
        """Turn offsets ``[3, voxel]`` along (slice, row, column)."""
        along, down, across = offsets
        across = -across if self.mirrored else across
        for _ in range(self.quarters):
            down, across = -across, down
        return np.stack([along, down, across])


@dataclass(frozen=True, eq=False)
class Patch:
    """What is to be filled at a place, as offsets from it in voxels ``[3, voxel]``.

    Attributes
    ----------
    core, middle, ring
        The voxels that are replaced, the inner ones of them, and those within 3 mm around them, which stay.
    around
        The scan's values in the ring.
    spacing_mm
        Distance of its voxels along (slice, row, column).
    """

    core: Offsets
    middle: Offsets
    ring: Offsets
    around: Voxels
    spacing_mm: Spacing

    def turns(self) -> list[Turn]:
        """List the ways to lay it down; pixels that are no squares can't be turned by a single quarter."""
        square = abs(self.spacing_mm[1] / self.spacing_mm[2] - 1.0) < _SAME_SPACING
        quarters = range(4) if square else (0, 2)
        return [Turn(number, mirrored) for mirrored in (False, True) for number in quarters]


@dataclass(frozen=True, eq=False)
class Source:
    """A patch's origin: the scan, the voxel that comes to lie at the place, how it is turned, and what it is times."""

    scan: Scan
    centre: Index
    turn: Turn
    resampled: bool
    gain: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the record."""
        names = ("slice", "row", "column")
        where = dict(zip(names, self.centre, strict=True))
        turned = {"quarter_turns": self.turn.quarters, "mirrored": self.turn.mirrored}
        copied = {"resampled": self.resampled, "gain": self.gain}
        return {"scan": self.scan.name, "sha256": self.scan.sha256, **where, **turned, **copied}


def cut_patch(site: Site, mask: Mask) -> Patch:
    """Describe what a mask ``[slice, row, column]`` of a site replaces."""
    reach = ndimage.distance_transform_edt(~mask, sampling=site.spacing_mm)
    ring = ~mask & ((reach <= _RING_MM) | ndimage.binary_dilation(mask))
    centre = np.array(site.centre)[:, None]
    middle = mask & (site.distance_mm() <= site.diameter_mm / 3.0)
    middle[site.centre] = True
    at, middle_at, ring_at = (np.stack(np.nonzero(part)) - centre for part in (mask, middle, ring))
    return Patch(at, middle_at, ring_at, site.voxels[ring], site.spacing_mm)


def steps_per_voxel(patch: Patch, scan: Scan) -> NDArray[np.float64]:
    """Return how many voxels of a scan one voxel of the patch is along (slice, row, column); 1.0 where they agree.

    A patch in a single slice is copied from a single slice, however thick.
    """
    ratio: NDArray[np.float64] = np.array(patch.spacing_mm) / np.array(scan.spacing_mm)
    ratio[np.abs(ratio - 1.0) < _SAME_SPACING] = 1.0
    if not patch.ring[0].any():
        ratio[0] = 1.0
    return ratio


def room(patch: Patch, scan: Scan) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and one past the last voxel index that a patch may be taken around; none if last <= first."""
    ratio = steps_per_voxel(patch, scan)
    extent = np.abs(patch.ring).max(axis=1)
    sides = np.ceil(max(extent[1], extent[2]) * ratio).astype(int)
    before = np.ceil(-patch.ring[0].min() * ratio[0])
    after = np.ceil(patch.ring[0].max() * ratio[0])
    first = np.array([before, sides[1], sides[2]], dtype=int)
    last = np.array(scan.shape) - np.array([after, sides[1], sides[2]], dtype=int)
    return first, last


def look_up(scan: Scan, centres: Centres, offsets: Offsets, ratio: NDArray[np.float64]) -> Voxels:
    """Return float32 ``[centre, voxel]``: the nearest voxels of a scan at offsets from each of the centres."""
    _, rows, columns = scan.shape
    strides = np.array([rows * columns, columns, 1])
    steps = strides @ np.rint(offsets * ratio[:, None]).astype(np.int64)
    found: Voxels = np.take(scan.voxels.reshape(-1), (centres @ strides)[:, None] + steps[None, :])
    return found


def read_patch(source: Source, patch: Patch, offsets: Offsets) -> Voxels:
    """Return float32 ``[voxel]``: the source's values at offsets of a patch, times its gain.

    Whole voxels where the distances of voxels agree, so that noise stays what it was; a cubic spline where they differ.
    """
    turned, ratio = source.turn.apply(offsets), steps_per_voxel(patch, source.scan)
    gain = np.float32(source.gain)
    if not source.resampled:
        copied: Voxels = gain * look_up(source.scan, np.array([source.centre]), turned, ratio)[0]
        return copied
    at = turned * ratio[:, None] + np.array(source.centre)[:, None]
    first = np.maximum(np.floor(at.min(axis=1)).astype(int) - _SPLINE_REACH, 0)
    last = np.ceil(at.max(axis=1)).astype(int) + _SPLINE_REACH + 1
    part = source.scan.voxels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    values = ndimage.map_coordinates(part, at - first[:, None], order=3, mode="nearest", output=np.float32)
    scaled: Voxels = gain * values
    return scaled
