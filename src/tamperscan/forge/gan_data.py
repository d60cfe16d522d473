"""Cubes for the training of the GAN: healthy lung, and nodules in lung; kept as arrays that are mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from tamperscan.detect.regions import lung_mask
from tamperscan.errors import TrainingError
from tamperscan.files import new_file, sync, write_file
from tamperscan.forge.cube import LARGEST_CORE, MARGIN_MM, SIDE, cut_cube
from tamperscan.forge.gan_nodules import Nodule, cut_nodule, nodules_of, set_in, view_nodule
from tamperscan.forge.method import Action
from tamperscan.forge.site import REGION_MM, Mask, Place, Voxels, cut_site
from tamperscan.scan.volume import Scan

CUBES: Final = 2400
"""How many cubes are kept."""

SMALLEST_CORE: Final = 6.5

_INDEX = "index.json"
_CUBES, _SHAPES, _RADII = "cubes.npy", "shapes.npy", "radii.npy"
# Of the cubes with nodules, this part shows them in their own surroundings, the rest set into healthy lung.
_OWN_SURROUNDINGS = 0.15
_OFF_END_MM = 8.0
_SHAPE_SCALE = 255.0


@dataclass(frozen=True, eq=False)
class CubeCache:
    """Training cubes on disk.

    Attributes
    ----------
    cubes
        int16 ``[cube, 32, 32, 32]`` in HU.
    shapes
        uint8 ``[cube, 32, 32, 32]``: the nodule's blurred shape times 255; None for removals.
    radii
        float32 ``[cube]``: the core's radius in voxels; for removals it is drawn anew each time and this is None.
    facts
        What the cubes were made of: ``scans``, ``nodules``.
    """

    cubes: NDArray[np.int16]
    shapes: NDArray[np.uint8] | None
    radii: NDArray[np.float32] | None
    facts: dict[str, Any]

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Voxels, Voxels, list[float]]:
        """Draw cubes, turned by quarters and mirrored at random.

        Returns
        -------
        cubes, shapes, radii
            float32 ``[count, 32, 32, 32]`` in HU; the shapes from 0 to 1; the cores' radii in voxels.
        """
        chosen = rng.integers(len(self.cubes), size=count)
        turns = [_Turn(int(rng.integers(4)), *(bool(flip) for flip in rng.integers(2, size=2))) for _ in chosen]
        cubes = np.stack([turn(self.cubes[i].astype(np.float32)) for i, turn in zip(chosen, turns, strict=True)])
        if self.shapes is None or self.radii is None:
            return cubes, np.zeros_like(cubes), [float(r) for r in rng.uniform(SMALLEST_CORE, LARGEST_CORE, count)]
        shapes = np.stack([turn(self.shapes[i] / _SHAPE_SCALE) for i, turn in zip(chosen, turns, strict=True)])
        return cubes, shapes.astype(np.float32), [float(self.radii[i]) for i in chosen]


def build_cubes(
    scans: Iterable[Scan],
    folder: Path,
    action: Action,
    *,
    of: str = "",
    seed: int = 0,
    count: int = CUBES,
    on_scan: Callable[[str], None] = lambda name: None,
) -> CubeCache:
    """Cut training cubes out of authentic scans.

    Parameters
    ----------
    scans
        Authentic chest CT; held one at a time.
    folder
        Where the arrays lie.
    action
        ``"remove"`` for healthy lung, ``"inject"`` for nodules in lung.
    of
        What the scans are, in whatever words; `read_cubes` compares it.
    seed, count
        Which cubes, and how many.
    on_scan
        Called with each scan's name when it was read.

    Raises
    ------
    TrainingError
        If there is no lung, or for injections no nodule.
    """
    folder.mkdir(parents=True, exist_ok=True)
    material = _Material(np.random.default_rng(seed), [], [], [], [])
    for scan in scans:
        _take(scan, material, per_slice=max(6, count // 60), nodules=action == "inject")
        on_scan(scan.name)
    if not material.healthy:
        raise TrainingError(f"{folder}: the scans hold no lung to train on. Give a folder of chest CT.")
    if action == "inject" and not material.nodules:
        raise TrainingError(
            f"{folder}: the scans hold no nodule to learn from. Give scans with nodules.json or tumour_boxes.json"
            " beside their files."
        )
    facts = {"of": of, "action": action, "scans": material.scans, "nodules": [fact for _, fact in material.nodules]}
    if action == "remove":
        _write_healthy(material, folder, count)
    else:
        _write_injected(material, folder, count)
    sync(*(path for path in folder.iterdir() if path.is_file()))  # before the index that names them
    write_file(folder / _INDEX, json.dumps(facts, indent=1).encode())
    cache = read_cubes(folder, of=of)
    assert cache is not None  # it was just written
    return cache


def read_cubes(folder: Path, *, of: str = "") -> CubeCache | None:
    """Open what a complete cache holds; None where there is none.

    Raises
    ------
    TrainingError
        If the cache is of other scans.
    """
    path = folder / _INDEX
    if not path.exists():
        return None
    facts = json.loads(path.read_text())
    if facts["of"] != of:
        raise TrainingError(f"{folder}: was made of other scans. Choose another --out folder, or remove this one.")
    injected = facts["action"] == "inject"
    return CubeCache(
        np.load(folder / _CUBES, mmap_mode="r"),
        np.load(folder / _SHAPES, mmap_mode="r") if injected else None,
        np.load(folder / _RADII) if injected else None,
        facts,
    )


@dataclass(frozen=True)
class _Turn:
    """Quarter turns about the body's axis, and mirrorings: none of them needs resampling."""

    quarters: int
    upside_down: bool
    mirrored: bool

    def __call__(self, cube: NDArray[Any]) -> NDArray[Any]:
        turned = np.rot90(cube, self.quarters, axes=(1, 2))
        turned = turned[::-1] if self.upside_down else turned
        return turned[:, :, ::-1] if self.mirrored else turned


@dataclass(frozen=True, eq=False)
class _Material:
    """What was found in the scans so far."""

    rng: np.random.Generator
    scans: list[dict[str, Any]]
    healthy: list[NDArray[np.int16]]
    nodules: list[tuple[Nodule, dict[str, Any]]]
    views: list[tuple[NDArray[np.int16], Voxels, float]]


def _take(scan: Scan, material: _Material, *, per_slice: int, nodules: bool) -> None:
    """Take healthy cubes and nodules out of one scan."""
    lung = np.stack([lung_mask(image, scan.spacing_mm[1:]) for image in scan.voxels])
    marked, alike = nodules_of(scan, lung)
    cubes = [
        _stored(cut_cube(cut_site(scan, place, margin_mm=4.0)))
        for place in _healthy_places(scan, lung, (*marked, *alike), per_slice, material.rng)
    ]
    material.healthy.extend(cubes)
    if cubes:
        material.scans.append({"name": scan.name, "sha256": scan.sha256, "cubes": len(cubes)})
    for place in (*marked, *alike) if nodules else ():
        nodule = cut_nodule(scan, lung, place)
        if nodule is not None:
            fact = {"scan": scan.name, "index": list(place.index), "marked": place in marked}
            material.nodules.append((nodule, {**fact, "diameter_mm": round(place.diameter_mm, 1)}))
            material.views.extend(_views(scan, place, nodule, material.rng))


def _healthy_places(
    scan: Scan, lung: Mask, lesions: Iterable[Place], per_slice: int, rng: np.random.Generator
) -> list[Place]:
    """Draw places in the lung, away from its lesions; a thick slice counts as the thin ones it stands for."""
    off_end = min(round(_OFF_END_MM / scan.spacing_mm[0]), (scan.shape[0] - 1) // 2)
    inner = lung.copy()
    inner[:off_end], inner[scan.shape[0] - off_end :] = False, False
    found = np.argwhere(inner)
    if len(found) == 0:
        return []
    thickness = min(scan.spacing_mm[0], 2.0) if scan.shape[0] > 1 else 1.0
    chosen = found[rng.integers(len(found), size=max(1, round(per_slice * scan.shape[0] * thickness / 10)))]
    places = [Place(*(int(index) for index in place)) for place in chosen]
    return [place for place in places if all(_clear_of(place, lesion, scan) for lesion in lesions)]


def _clear_of(place: Place, lesion: Place, scan: Scan) -> bool:
    gaps = [(a - b) * step for a, b, step in zip(place.index, lesion.index, scan.spacing_mm, strict=True)]
    return float(np.linalg.norm(gaps)) > REGION_MM / 2 + lesion.diameter_mm / 2


def _views(
    scan: Scan, place: Place, nodule: Nodule, rng: np.random.Generator
) -> list[tuple[NDArray[np.int16], Voxels, float]]:
    """See a nodule in its own surroundings, a little larger and smaller and off the middle."""
    views = []
    for _ in range(40):
        diameter = float(np.clip(place.diameter_mm * rng.uniform(0.8, 1.25), *_DIAMETERS))
        shift = rng.uniform(-1.0, 1.0, size=3).astype(np.float32)
        cube, shape = view_nodule(scan, place, nodule, diameter, shift)
        views.append((_stored(cube), shape, diameter))
    return views


_DIAMETERS = (2 * (SMALLEST_CORE - MARGIN_MM), 2 * (LARGEST_CORE - MARGIN_MM))


def _write_healthy(material: _Material, folder: Path, count: int) -> None:
    cubes = _new(folder / _CUBES, count, np.int16)
    order = material.rng.permutation(len(material.healthy))
    for row in range(count):
        cubes[row] = material.healthy[order[row % len(order)]]
    cubes.flush()


def _write_injected(material: _Material, folder: Path, count: int) -> None:
    cubes, shapes = _new(folder / _CUBES, count, np.int16), _new(folder / _SHAPES, count, np.uint8)
    radii = np.zeros(count, dtype=np.float32)
    rng = material.rng
    for row in range(count):
        if rng.random() < _OWN_SURROUNDINGS:
            cube, shape, diameter = material.views[rng.integers(len(material.views))]
            cubes[row] = cube
        else:
            host = material.healthy[rng.integers(len(material.healthy))].astype(np.float32)
            nodule, _ = material.nodules[rng.integers(len(material.nodules))]
            diameter = float(np.exp(rng.uniform(*np.log(_DIAMETERS))))
            set_cube, shape = set_in(host, nodule, diameter, rng)
            cubes[row] = _stored(set_cube)
        shapes[row] = np.rint(np.clip(shape, 0.0, 1.0) * _SHAPE_SCALE).astype(np.uint8)
        radii[row] = min(diameter / 2 + MARGIN_MM, LARGEST_CORE)
    cubes.flush()
    shapes.flush()
    with new_file(folder / _RADII) as file:
        np.save(file, radii)


def _new(path: Path, count: int, kind: type[np.generic]) -> np.memmap[Any, Any]:
    array: np.memmap[Any, Any] = open_memmap(path, mode="w+", dtype=kind, shape=(count, SIDE, SIDE, SIDE))
    return array


def _stored(cube: Voxels) -> NDArray[np.int16]:
    return np.clip(np.rint(cube), -32768, 32767).astype(np.int16)
