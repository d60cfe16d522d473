"""What a network sees of a scan around the part that is to be altered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Mask, Site, Voxels

Box = tuple[slice, slice, slice]

# In plane, what is altered keeps at least this much of the untouched scan on each side.
_CONTEXT_PX = 8


@dataclass(frozen=True, eq=False)
class View:
    """A part of a scan around what is altered.

    Attributes
    ----------
    indices
        The scan's voxels along (slice, row, column); the last one is repeated where the scan is too small.
    part
        Bounding box of what is altered, in the site.
    inner
        The same box in the view.
    """

    indices: tuple[NDArray[np.int64], ...]
    part: Box
    inner: Box

    def cut(self, site: Site, altered: Voxels) -> Voxels:
        """Return float32 ``[slice, row, column]``: the view of the scan with the site's altered voxels in it."""
        seen: Voxels = site.scan.voxels[np.ix_(*self.indices)]
        seen[self.inner] = altered[self.part]
        return seen

    def place(self, values: Voxels) -> Voxels:
        """Return float32 ``[slice, row, column]``: values of the site in the view, 0 around them."""
        placed = np.zeros([len(along) for along in self.indices], np.float32)
        placed[self.inner] = values[self.part]
        return placed


def look(site: Site, changed: Mask, *, side: int, stride: int = 1, slices: int = 0) -> View:
    """Choose the view of what is altered.

    Parameters
    ----------
    site
        The surroundings of the place.
    changed
        bool ``[slice, row, column]`` on the site: what is altered.
    side
        Pixels along rows and columns, at least; more where what is altered would fill them.
    stride
        More pixels come in steps of so many.
    slices
        How many untouched slices to see on each side, where the scan has them.

    Raises
    ------
    ForgeError
        If nothing is altered.
    """
    if not changed.any():
        raise ForgeError(
            f"{site.scan.name}: nothing can be altered there, as all of it lies beyond what the model can draw. "
            "Try another place."
        )
    indices, part, inner = [], [], []
    for axis, (start, length) in enumerate(zip(site.start, site.scan.shape, strict=True)):
        along = np.flatnonzero(changed.any(axis=tuple({0, 1, 2} - {axis})))
        low, high = int(along[0]), int(along[-1]) + 1
        if axis == 0:
            first, last = max(0, start + low - slices), min(length, start + high + slices)
        else:
            wanted = max(side, -(-(high - low + 2 * _CONTEXT_PX) // stride) * stride)
            first = min(max(0, start + (low + high - wanted) // 2), max(0, length - wanted))
            last = first + wanted
        indices.append(np.clip(np.arange(first, last), 0, length - 1))
        part.append(slice(low, high))
        inner.append(slice(start + low - first, start + high - first))
    return View(tuple(indices), (part[0], part[1], part[2]), (inner[0], inner[1], inner[2]))
