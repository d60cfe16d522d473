"""Authentic crops of three neighbouring slices, for training the in-painting diffusion model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.regions import lung_mask
from tamperscan.errors import TrainingError
from tamperscan.files import make_folder, new_file, write_file
from tamperscan.forge.lesions import known_lesions
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import IntensityWindow

# How often a crop is centred where. Vessels and lesions are a few per cent of the lung; without more than their share
# of crops the model draws empty lung.
SHARES: Final = {"lung": 0.34, "vessel": 0.33, "lesion": 0.08, "body": 0.25}
_PLACES_A_SLICE = 64
_LESION_PLACES = 256
_BODY_HU = -400.0
# In the lung, smoothed over a vessel of a few pixels.
_VESSEL_HU = -700.0
_VESSEL_PX = 1.5
# Scanners differ in where their zero is by a few HU.
_SHIFT_HU = 5.0
_INDEX = "index.json"

Places = NDArray[np.int16]


@dataclass(frozen=True)
class Triples:
    """Crops to learn from.

    Attributes
    ----------
    slices
        float32 ``[n, 3, row, column]`` in model units.
    which
        int64 ``[n, 3]``: number of the slice in its triple, so that a slice that stands in for a missing neighbour gets
        the same noise: (0, 1, 2) inside a scan, (1, 1, 2) at its first slice, (1, 1, 1) in a single slice.
    spacing_mm
        float32 ``[n, 2]``: distance of slices and of pixels.
    """

    slices: NDArray[np.float32]
    which: NDArray[np.int64]
    spacing_mm: NDArray[np.float32]


@dataclass(frozen=True)
class CachedScan:
    """One scan in the cache: int16 HU ``[slice, row, column]`` as .npy, and centres of crops by kind as .npz."""

    name: str
    sha256: str
    file: str
    slices: int
    spacing_mm: tuple[float, float]


def build_cache(scans: Iterable[Scan], folder: Path, *, of: str) -> list[CachedScan]:
    """Write each scan once, with the places that crops may be centred on; or read what is there.

    Parameters
    ----------
    scans
        Authentic CT scans, consumed only where there is no cache yet.
    folder
        Where the cache lies; made if missing.
    of
        What the scans are, in whatever words.

    Raises
    ------
    TrainingError
        If there was no scan at all, or the cache is of other scans.
    """
    index = folder / _INDEX
    if index.exists():
        stored = json.loads(index.read_text())
        if stored["of"] != of:
            raise TrainingError(f"{folder}: was made of other scans. Choose another --out folder, or remove this one.")
        return [CachedScan(**entry) for entry in stored["scans"]]
    make_folder(folder)
    cached = [_cache_scan(scan, folder) for scan in scans]
    if not cached:
        raise TrainingError(f"{folder}: there is no scan to train on. Give a folder of authentic scans.")
    write_file(index, json.dumps({"of": of, "scans": [vars(entry) for entry in cached]}, indent=1).encode())
    return cached


class TripleSource:
    """Draws crops of three neighbouring slices.

    Parameters
    ----------
    folder
        The cache.
    cached
        What is in it.
    crop_px
        Side of a crop.
    window
        Maps HU to model units.

    Raises
    ------
    TrainingError
        If a scan is smaller than a crop.
    """

    def __init__(self, folder: Path, cached: list[CachedScan], *, crop_px: int, window: IntensityWindow) -> None:
        self._crop_px, self._window = crop_px, window
        self._volumes = [np.load(folder / entry.file, mmap_mode="r") for entry in cached]
        for entry, volume in zip(cached, self._volumes, strict=True):
            if min(volume.shape[1:]) < crop_px:
                raise TrainingError(
                    f"{entry.name}: its slices are smaller than the crops of {crop_px} pixels. Leave it out."
                )
        self._places = [_load_places(folder / entry.file) for entry in cached]
        self._spacing = np.array([entry.spacing_mm for entry in cached], np.float32)
        # Long series say more, and only they show neighbours; but they must not drown the other scanners.
        weights = np.array([float(entry.slices) for entry in cached]) ** 0.75
        self._chances = weights / weights.sum()

    def draw(self, rng: np.random.Generator, count: int) -> Triples:
        """Draw crops, turned and mirrored at random."""
        drawn = [self._draw_one(rng) for _ in range(count)]
        slices, which, scans = zip(*drawn, strict=True)
        return Triples(np.stack(slices), np.stack(which), self._spacing[list(scans)])

    def _draw_one(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.int64], int]:
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        scan = int(rng.choice(len(self._volumes), p=self._chances_of(kind)))
        volume, places = self._volumes[scan], self._places[scan]
        centres = places[kind] if len(places[kind]) else places["body"]
        z, row, column = (int(index) for index in centres[rng.integers(len(centres))])
        shown = np.clip([z - 1, z, z + 1], 0, volume.shape[0] - 1)
        rows = _span(row, self._crop_px, volume.shape[1], rng)
        columns = _span(column, self._crop_px, volume.shape[2], rng)
        crop = volume[shown][:, rows, columns].astype(np.float32) + rng.uniform(-_SHIFT_HU, _SHIFT_HU)
        turned, which = _turn(self._window.to_model(crop), shown - z + 1, rng)
        return turned, which, scan

    def _chances_of(self, kind: str) -> NDArray[np.float64]:
        chances = self._chances * np.array([len(places[kind]) > 0 for places in self._places])
        wanted: NDArray[np.float64] = chances / chances.sum() if chances.any() else self._chances
        return wanted


def _cache_scan(scan: Scan, folder: Path) -> CachedScan:
    stem = hashlib.sha256((scan.name + scan.sha256).encode()).hexdigest()[:16]
    with new_file(folder / f"{stem}.npy") as volume:
        np.save(volume, np.clip(np.rint(scan.voxels), -32768, 32767).astype(np.int16))
    with new_file(folder / f"{stem}.places.npz") as places:
        np.savez(places, allow_pickle=False, **_places(scan))
    return CachedScan(scan.name, scan.sha256, f"{stem}.npy", scan.shape[0], (scan.spacing_mm[0], scan.spacing_mm[2]))


def _load_places(volume_file: Path) -> dict[str, Places]:
    with np.load(volume_file.with_suffix(".places.npz")) as stored:
        return {kind: stored[kind] for kind in SHARES}


def _places(scan: Scan) -> dict[str, Places]:
    """Draw centres of crops, ``[n, 3]`` voxel indices for each kind."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Places]] = {kind: [] for kind in SHARES}
    for z, image in enumerate(scan.voxels):
        lung = lung_mask(image, scan.spacing_mm[1:])
        vessel = lung & (ndimage.gaussian_filter(image, _VESSEL_PX) > _VESSEL_HU)
        for kind, mask in (("lung", lung), ("vessel", vessel), ("body", image > _BODY_HU)):
            found[kind].append(_some_pixels(mask, z, rng))
    found["lesion"] = _in_lesions(scan, rng)
    return {kind: np.concatenate([*parts, np.empty((0, 3), np.int16)]) for kind, parts in found.items()}


def _some_pixels(mask: NDArray[np.bool_], z: int, rng: np.random.Generator) -> Places:
    pixels = np.argwhere(mask)
    if len(pixels) == 0:
        return np.empty((0, 3), np.int16)
    drawn = pixels[rng.integers(len(pixels), size=_PLACES_A_SLICE)]
    return np.insert(drawn, 0, z, axis=1).astype(np.int16)


def _in_lesions(scan: Scan, rng: np.random.Generator) -> list[Places]:
    """Draw places from the box around each lesion that readers have marked."""
    drawn = []
    for lesion in known_lesions(scan):
        half = round(lesion.diameter_mm / scan.spacing_mm[2] / 2)
        low = np.array([lesion.slice_range[0], lesion.row - half, lesion.column - half])
        high = np.array([lesion.slice_range[1], lesion.row + half, lesion.column + half])
        places = rng.integers(low, high, endpoint=True, size=(_LESION_PLACES, 3))
        drawn.append(np.clip(places, 0, np.array(scan.shape) - 1).astype(np.int16))
    return drawn


def _span(middle: int, length: int, side: int, rng: np.random.Generator) -> slice:
    """Choose pixels around a place, which need not be in the middle of them, inside the image."""
    off = int(rng.integers(-length // 4, length // 4 + 1))
    first = min(max(middle - length // 2 + off, 0), side - length)
    return slice(first, first + length)


def _turn(
    crop: NDArray[np.float32], which: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Turn by 90 degrees, mirror, and reverse the slices: what leaves the noise as it is."""
    turned = np.rot90(crop, int(rng.integers(4)), axes=(1, 2))
    if rng.random() < 0.5:
        turned = turned[:, :, ::-1]
    if rng.random() < 0.5:
        # The numbers are 0, 1, 2 from the first slice on.
        turned, which = turned[::-1], 2 - which[::-1]
    return np.ascontiguousarray(turned), np.ascontiguousarray(which)
