"""The voxels of each finding, for whatever marks them: segmentations, label maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.results import Finding, Screening

# A finding reaches as far as the suspicion stays above this part of its height over the scan's middle, as the
# detector has it when it measures the finding's size.
_EXTENT_SHARE: Final = 0.6


@dataclass(frozen=True, eq=False)
class Place:
    """Where one finding is.

    Attributes
    ----------
    box
        Part of the scan that holds it: slices along (slice, row, column).
    mask
        bool ``[slice, row, column]`` within the box; at least one voxel is set.
    """

    box: tuple[slice, slice, slice]
    mask: NDArray[np.bool_]

    @property
    def slices(self) -> range:
        """Indices of the scan's slices that it touches."""
        return range(self.box[0].start, self.box[0].stop)


def finding_masks(screening: Screening) -> Iterator[Place]:
    """Find the voxels of each finding, in the order of the findings.

    Parameters
    ----------
    screening
        What a detector said of a scan.

    Yields
    ------
    Place
        The voxels connected to the finding's centre whose suspicion is above a part of the centre's, within the extent
        that the finding states; an ellipsoid of that extent where the map does not stand out there.
    """
    measured = screening.suspicion[screening.regions]
    middle = float(np.median(measured)) if measured.size else 0.0
    del measured  # a whole scan's worth
    for finding in screening.findings:
        yield _trimmed(_place(screening, finding, middle))


def _place(screening: Screening, finding: Finding, middle: float) -> Place:
    box = _box(screening, finding)
    inner = tuple(centre - part.start for centre, part in zip(finding.centre, box, strict=True))
    values = np.where(screening.regions[box], screening.suspicion[box], -np.inf)
    peak = float(values[inner])
    if np.isfinite(peak) and peak > middle:
        labels, _ = ndimage.label(values >= middle + _EXTENT_SHARE * (peak - middle))
        return Place(box, labels == labels[inner])
    return Place(box, _ellipsoid(box, finding.centre))


def _box(screening: Screening, finding: Finding) -> tuple[slice, slice, slice]:
    """Part of the scan that the stated extent can reach from the centre."""
    first, last = finding.slice_range
    spans = [
        slice(max(0, min(first, finding.centre[0])), min(screening.scan.shape[0], max(last, finding.centre[0]) + 1))
    ]
    for axis in (1, 2):
        reach = max(1, round(finding.size_mm[axis] / screening.scan.spacing_mm[axis]))
        centre = finding.centre[axis]
        spans.append(slice(max(0, centre - reach), min(screening.scan.shape[axis], centre + reach + 1)))
    return spans[0], spans[1], spans[2]


def _ellipsoid(box: tuple[slice, slice, slice], centre: tuple[int, int, int]) -> NDArray[np.bool_]:
    squared: NDArray[np.float64] = np.zeros((1, 1, 1))
    for axis, (part, middle) in enumerate(zip(box, centre, strict=True)):
        radius = max(0.5, max(middle - part.start, part.stop - 1 - middle) / (1 if axis == 0 else 2))
        offsets = (np.arange(part.start, part.stop) - middle) / radius
        squared = squared + offsets.reshape([-1 if each == axis else 1 for each in range(3)]) ** 2
    inside: NDArray[np.bool_] = squared <= 1.0
    return inside


def _trimmed(place: Place) -> Place:
    """Cut the box down to what is set."""
    (found,) = ndimage.find_objects(place.mask.astype(np.uint8))
    box = [slice(part.start + cut.start, part.start + cut.stop) for part, cut in zip(place.box, found, strict=True)]
    return Place((box[0], box[1], box[2]), place.mask[found])
