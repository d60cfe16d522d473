"""Real nodules for the training of the injecting GAN: found, cut out, and set into healthy lung in new shapes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from tamperscan.forge.cube import SIDE, cut_cube
from tamperscan.forge.gan_shapes import blurred_shape, cube_grid
from tamperscan.forge.lesions import known_lesions
from tamperscan.forge.site import Mask, Place, Voxels, cut_site
from tamperscan.scan.volume import Scan

_ACROSS: Final = 20  # voxels across a nodule, in its own cube
_BOX: Final = 48
_DENSE_HU: Final = -450.0
_STANDING_ALONE: Final = 0.115
_LEAST_RADIUS_MM: Final = 2.7
_MOST_ALIKE: Final = 12
_SEARCH_MM: Final = 1.5
# In thicker slices a vessel that crosses one slice looks like a nodule.
_THICKEST_MM: Final = 1.5
# Larger ones lie against the chest wall or the mediastinum and look like nothing else when they are scaled down.
_LARGEST_MM: Final = 40.0


@dataclass(frozen=True, eq=False)
class Nodule:
    """A real nodule, brought to the same number of voxels across.

    Attributes
    ----------
    voxels
        float32 ``[48, 48, 48]`` in HU, the nodule 20 voxels across in the middle.
    outline
        float32 ``[48, 48, 48]``, 0 to 1: the nodule without what it hangs on.
    diameter_mm
        Its true size.
    """

    voxels: Voxels
    outline: Voxels
    diameter_mm: float


def nodules_of(scan: Scan, lung: Mask) -> tuple[list[Place], list[Place]]:
    """List the nodules that readers have marked, and other dense structures that stand alone in the lung.

    Parameters
    ----------
    scan
        An authentic chest CT.
    lung
        bool ``[slice, row, column]``: the lungs, filled.

    Returns
    -------
    marked, alike
        Structures alike are looked for in slices of at most 1.5 mm only, away from the scan's ends.
    """
    marked = [Place(lesion.slice, lesion.row, lesion.column, lesion.diameter_mm) for lesion in known_lesions(scan)]
    if scan.shape[0] == 1 or scan.spacing_mm[0] > _THICKEST_MM or not lung.any():
        return marked, []
    alike: list[Place] = []
    for place in _standing_alone(scan, lung):
        if all(_apart(place, other, scan) for other in (*marked, *alike)):
            alike.append(place)
    return marked, alike[:_MOST_ALIKE]


def cut_nodule(scan: Scan, lung: Mask, place: Place) -> Nodule | None:
    """Cut a nodule out of a scan; None where nothing dense lies in the middle, or it is larger than 40 mm."""
    if place.diameter_mm > _LARGEST_MM:
        return None
    region = place.diameter_mm * _BOX / _ACROSS
    site = cut_site(scan, place, region_mm=region, margin_mm=4.0)
    voxels = cut_cube(site, _BOX)
    within = cut_cube(replace(site, voxels=lung[site.box].astype(np.float32)), _BOX) > 0.5
    dense = (ndimage.gaussian_filter(voxels, 0.7) > _DENSE_HU) & within
    # What is thinner than a fifth of the nodule is a vessel that feeds it.
    body = ndimage.binary_opening(dense, _ball(2)) & (_radius(_BOX) <= 0.75 * _ACROSS)
    labels, _ = ndimage.label(body)
    near = labels[_radius(_BOX) <= _ACROSS / 4]
    counts = np.bincount(near[near > 0])
    if counts.size == 0:
        return None
    nodule = ndimage.binary_dilation(labels == int(counts.argmax()), _ball(2)) & dense
    return Nodule(voxels, nodule.astype(np.float32), place.diameter_mm)


def view_nodule(scan: Scan, place: Place, nodule: Nodule, diameter: float, shift: Voxels) -> tuple[Voxels, Voxels]:
    """See a nodule in its own surroundings, scaled to a size.

    Parameters
    ----------
    scan, place, nodule
        The nodule and where it lies.
    diameter
        How many voxels of the cube it shall be across.
    shift
        float32 ``[3]``: where in the cube its middle shall lie, in voxels from the cube's middle.

    Returns
    -------
    cube, shape
        float32 ``[32, 32, 32]``: HU, and the shape that the generator is told.
    """
    region = SIDE * place.diameter_mm / diameter
    step = region / SIDE
    moved = [
        int(np.clip(round(index - off * step / spacing), 0, side - 1))
        for index, off, spacing, side in zip(place.index, shift, scan.spacing_mm, scan.shape, strict=True)
    ]
    cube = cut_cube(cut_site(scan, Place(moved[0], moved[1], moved[2], 1.0), region_mm=region, margin_mm=4.0))
    true_shift = [
        (index - new) * spacing / step for index, new, spacing in zip(place.index, moved, scan.spacing_mm, strict=True)
    ]
    positions = cube_grid(SIDE) - np.reshape(np.array(true_shift, dtype=np.float32), (3, 1, 1, 1))
    outline = _sample(nodule.outline, positions * (_ACROSS / diameter), 0.0)
    return cube, blurred_shape(outline)


def set_in(host: Voxels, nodule: Nodule, diameter: float, rng: np.random.Generator) -> tuple[Voxels, Voxels]:
    """Set a nodule into healthy lung, turned, scaled and bent at random.

    Parameters
    ----------
    host
        float32 ``[32, 32, 32]`` in HU.
    nodule
        What to set in.
    diameter
        How many voxels it shall be across.

    Returns
    -------
    cube, shape
        float32 ``[32, 32, 32]``: HU, and the shape that the generator is told.
    """
    positions = _bent(diameter, rng)
    # Taking every third voxel of a large nodule would turn its noise into stronger noise.
    blur = max(0.0, 0.35 * (_ACROSS / diameter - 1.0))
    voxels = _sample(ndimage.gaussian_filter(nodule.voxels, blur), positions, -1000.0)
    outline = _sample(nodule.outline, positions, 0.0)
    reach = ndimage.binary_dilation(outline > 0.3, _ball(2))
    weight = ndimage.gaussian_filter(reach.astype(np.float32), 1.0)
    cube: Voxels = host + weight * np.maximum(voxels - host, 0.0)
    return cube, blurred_shape(outline)


def _bent(diameter: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Positions in a nodule's box for each voxel of the cube: turned, mirrored, stretched and bent."""
    turn = Rotation.random(rng=rng).as_matrix() * rng.choice([-1.0, 1.0])
    stretch = _ACROSS / diameter * np.exp(rng.uniform(-0.12, 0.12, size=3))
    shift = np.reshape(rng.uniform(-1.0, 1.0, size=3), (3, 1, 1, 1))
    positions = np.tensordot(np.diag(stretch) @ turn, cube_grid(SIDE) - shift, axes=1)
    bend = rng.standard_normal((3, 5, 5, 5)) * 0.06 * _ACROSS
    positions += np.stack([ndimage.zoom(axis, SIDE / 5, order=3, mode="nearest", grid_mode=True) for axis in bend])
    return positions.astype(np.float32)


def _standing_alone(scan: Scan, lung: Mask) -> list[Place]:
    """Find dense structures with little that is dense around them, most alone first."""
    blur_mm = (0.5, 0.8, 0.8)
    smooth = ndimage.gaussian_filter(scan.voxels, [a / b for a, b in zip(blur_mm, scan.spacing_mm, strict=True)])
    every = max(1, round(_SEARCH_MM / scan.spacing_mm[1]))
    spacing = np.array(scan.spacing_mm) * (1, every, every)
    inside = lung[:, ::every, ::every]
    dense = (smooth[:, ::every, ::every] > _DENSE_HU) & inside
    depth = ndimage.distance_transform_edt(dense, sampling=spacing)
    peak = depth == ndimage.maximum_filter(depth, [max(3, int(8 / step) | 1) for step in spacing])
    found = []
    for index in np.argwhere(peak & (depth > _LEAST_RADIUS_MM)):
        radius = float(depth[tuple(index)])
        crowded, lunglike = _around(dense, inside, index, radius, spacing)
        off_end_mm = min(index[0], scan.shape[0] - 1 - index[0]) * scan.spacing_mm[0]
        if crowded < _STANDING_ALONE and lunglike > 0.7 and off_end_mm > radius:
            place = Place(int(index[0]), every * int(index[1]), every * int(index[2]), 2.3 * radius)
            found.append((crowded, place))
    return [place for _, place in sorted(found, key=lambda entry: entry[0])]


def _around(
    dense: Mask, lung: Mask, index: NDArray[np.int64], radius: float, spacing: NDArray[np.float64]
) -> tuple[float, float]:
    """Return which parts of the shell around a structure are dense, and lung."""
    reach = np.ceil(2.1 * radius / spacing).astype(int)
    box = tuple(slice(max(0, middle - half), middle + half + 1) for middle, half in zip(index, reach, strict=True))
    axes = [
        (np.arange(part.start, min(part.stop, side)) - middle) * step
        for part, side, middle, step in zip(box, dense.shape, index, spacing, strict=True)
    ]
    distance = np.sqrt(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij", sparse=True)))
    shell = (distance > 1.6 * radius) & (distance < 2.1 * radius)
    return float(dense[box][shell].mean()), float(lung[box][shell].mean())


def _apart(one: Place, other: Place, scan: Scan) -> bool:
    gaps = [(a - b) * step for a, b, step in zip(one.index, other.index, scan.spacing_mm, strict=True)]
    return float(np.linalg.norm(gaps)) > (one.diameter_mm + other.diameter_mm) / 2


def _sample(values: Voxels, positions: NDArray[np.float32], outside: float) -> Voxels:
    """Read a nodule's box at positions counted from its middle."""
    sampled: Voxels = ndimage.map_coordinates(
        values, positions + (_BOX - 1) / 2, order=1, mode="constant", cval=outside, output=np.float32
    )
    return sampled


def _radius(side: int) -> NDArray[np.float32]:
    radius: NDArray[np.float32] = np.sqrt((cube_grid(side) ** 2).sum(axis=0))
    return radius


def _ball(radius: int) -> Mask:
    ball: Mask = _radius(2 * radius + 1) <= radius + 0.2
    return ball
