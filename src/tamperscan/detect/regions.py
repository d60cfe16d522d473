"""Where to look: the lungs of a chest CT, and the tissue classes inside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.blocks import block_mean

# Regions are found on a coarse grid: lungs are large, and a whole series must not take longer than its network pass.
_COARSE_MM = 3.0
_AIR_HU = -500.0
_BODY_HU = -400.0
# Gas in the trachea, stomach and bowel lies at -1000 HU; lung tissue, even emphysema, lies above. A large pocket may
# be judged by its middle, a small one must hold no gas at all.
_LUNG_MEDIAN_HU = (-965.0, -400.0)
_GAS_HU = -970.0
_LARGE_CM2 = 40.0
# Even at 3 mm vessels make lung tissue vary by 50 HU and more; gas varies by its noise only.
_LEAST_TEXTURE_HU = 25.0
_MIN_COMPONENT_CM2 = 4.0
_CLOSING_MM = 15.0
# A lung cut by the edge of the field of view is open to the air outside, but not as empty.
_OPEN_LUNG_HU = (-950.0, -500.0)
_OPEN_LUNG_CM2 = 30.0
_OPEN_BODY_MM = 40.0
# Holes larger than the largest lung mass are heart or liver, not nodules.
_LARGEST_HOLE_CM2 = 20.0


# The tissue classes by name, from thin to dense.
TISSUES = ("parenchyma", "between", "soft")


@dataclass(frozen=True, eq=False)
class Tissues:
    """Tissue classes of one slice, each a bool mask ``[row, column]``; with the air they make up the filled lung."""

    parenchyma: NDArray[np.bool_]
    soft: NDArray[np.bool_]
    between: NDArray[np.bool_]

    def part(self, box: tuple[slice, slice]) -> Tissues:
        """Return those of some rows and columns."""
        return Tissues(self.parenchyma[box], self.soft[box], self.between[box])


def lung_mask(hu: NDArray[np.float32], spacing_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Find the lungs of one axial slice, with vessels, nodules and the pleural border filled in.

    Parameters
    ----------
    hu
        ``[row, column]`` in HU.
    spacing_mm
        Distance between (rows, columns) in mm.

    Returns
    -------
    bool ``[row, column]``; all False where the slice holds no lung.
    """
    step = max(1, round(_COARSE_MM / min(spacing_mm)))
    coarse = block_mean(hu, step)
    pixel_mm = (spacing_mm[0] * step, spacing_mm[1] * step)
    body = _body(coarse)
    lungs = _enclosed_lungs(coarse, body, pixel_mm) | _open_lungs(coarse, body, pixel_mm)
    filled = _close_and_fill(lungs, pixel_mm)
    return _enlarge(filled, step, hu.shape)


def tissues(hu: NDArray[np.float32], lung: NDArray[np.bool_]) -> Tissues:
    """Divide the filled lung of one slice into parenchyma, soft tissue and what lies between.

    Parenchyma is where the smoothed image is below -650 HU and flat, soft tissue (vessels, nodules, pleura) where it
    lies between -350 and 300 HU. Air (bronchi, bullae) belongs to none: it is naturally smooth.

    Parameters
    ----------
    hu
        ``[row, column]`` in HU.
    lung
        bool ``[row, column]``, as from `lung_mask`.
    """
    smooth = ndimage.gaussian_filter(hu, 1.5)
    slope = ndimage.gaussian_gradient_magnitude(hu, 1.5)
    air = smooth < _GAS_HU
    parenchyma = lung & ~air & (smooth < -650.0) & (slope < 40.0)
    soft = lung & (smooth > -350.0) & (smooth < 300.0)
    return Tissues(parenchyma, soft, lung & ~air & ~parenchyma & ~soft)


def _enclosed_lungs(
    hu: NDArray[np.float32], body: NDArray[np.bool_], pixel_mm: tuple[float, float]
) -> NDArray[np.bool_]:
    """Keep the air inside the body that is large and heavy enough to be lung."""
    labels, _ = ndimage.label(fill_holes(body) & (hu < _AIR_HU))
    return _keep(labels, pixel_mm, _MIN_COMPONENT_CM2, lambda pocket: _is_lung(hu, pocket, pixel_mm))


def _is_lung(hu: NDArray[np.float32], pocket: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> bool:
    core = hu[ndimage.binary_erosion(pocket)]
    if core.size and core.std() < _LEAST_TEXTURE_HU:
        return False
    low, median = np.percentile(hu[pocket], (5, 50))
    if _area_cm2(pocket, pixel_mm) < _LARGE_CM2 and low < _GAS_HU:
        return False
    return bool(_LUNG_MEDIAN_HU[0] < median < _LUNG_MEDIAN_HU[1])


def _open_lungs(hu: NDArray[np.float32], body: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Keep lung-like matter in the body's outline where the field of view cuts the chest wall away."""
    radius = _OPEN_BODY_MM / min(pixel_mm)
    lunglike = (hu > _OPEN_LUNG_HU[0]) & (hu < _OPEN_LUNG_HU[1]) & _close(body, radius, fill=True)
    labels, _ = ndimage.label(ndimage.binary_opening(lunglike, iterations=2))
    return _keep(labels, pixel_mm, _OPEN_LUNG_CM2, lambda pocket: True)


def _keep(
    labels: NDArray[np.int32],
    pixel_mm: tuple[float, float],
    least_cm2: float,
    accept: Callable[[NDArray[np.bool_]], bool],
) -> NDArray[np.bool_]:
    keep = np.zeros(labels.shape, dtype=bool)
    for index in range(1, int(labels.max(initial=0)) + 1):
        pocket = labels == index
        if _area_cm2(pocket, pixel_mm) >= least_cm2 and accept(pocket):
            keep |= pocket
    return keep


def _area_cm2(mask: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> float:
    return float(mask.sum()) * pixel_mm[0] * pixel_mm[1] / 100.0


def _body(hu: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Find the largest thing in the slice, so that the table and a loose arm don't close a ring around air."""
    labels, count = ndimage.label(hu > _BODY_HU)
    if count == 0:
        return np.zeros(hu.shape, dtype=bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    body: NDArray[np.bool_] = labels == int(np.argmax(sizes))
    return body


def _close_and_fill(mask: NDArray[np.bool_], pixel_mm: tuple[float, float]) -> NDArray[np.bool_]:
    """Take in vessels and nodules, those at the pleura too.

    Each lung is closed by itself: together, they would take in the mediastinum where they come near each other.
    """
    closed = mask.copy()
    lungs, count = ndimage.label(mask)
    for index in range(1, count + 1):
        closed |= _close(lungs == index, _CLOSING_MM / min(pixel_mm))
    holes, _ = ndimage.label(fill_holes(closed) & ~closed)
    small = _keep(holes, pixel_mm, 0.0, lambda hole: _area_cm2(hole, pixel_mm) <= _LARGEST_HOLE_CM2)
    return closed | small


def _close(mask: NDArray[np.bool_], radius: float, *, fill: bool = False) -> NDArray[np.bool_]:
    """Close with a disc, by distances: the time does not grow with the radius.

    With ``fill``, what the grown mask encloses belongs to it, however far from the mask: the middle of a large lung.
    """
    closed = np.zeros(mask.shape, dtype=bool)
    if not mask.any():
        return closed
    # A closed mask reaches no further than the rectangle around it.
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    margin = int(np.ceil(radius)) + 1
    padded = np.pad(mask[box], margin)
    near = ndimage.distance_transform_edt(~padded) <= radius
    near = fill_holes(near) if fill else near
    closed[box] = (ndimage.distance_transform_edt(near) > radius)[margin:-margin, margin:-margin]
    return closed


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask and what it encloses, as `binary_fill_holes` of scipy does by growing the outside step by step."""
    labels, count = ndimage.label(~mask)
    outside = np.zeros(count + 1, dtype=bool)
    if not mask.size:
        return mask
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        outside[edge] = True
    outside[0] = False
    filled: NDArray[np.bool_] = ~outside[labels]
    return filled


def _enlarge(mask: NDArray[np.bool_], step: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    full = np.zeros(shape, dtype=bool)
    large = np.repeat(np.repeat(mask, step, axis=0), step, axis=1)
    full[: large.shape[0], : large.shape[1]] = large
    return full
