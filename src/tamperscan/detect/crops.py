"""Authentic crops for training, cut on the fly from lungs and bodies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.regions import lung_mask
from tamperscan.detect.regions_mr import AirSignal, body_mask, find_air
from tamperscan.errors import TrainingError
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import LUNG_NOISE_CT, IntensityWindow, signal_window

# Of the crops, this part is centred in the lung where a slice has one; the rest anywhere in the body, so that the
# network has seen every tissue that the lung's border can bring into its view.
_LUNG_SHARE = 0.75
_BODY_HU = -400.0
_CENTRES_A_SLICE = 256
_INDEX = "index.json"
_MOST_INT16 = 32767.0
# Where the top of an MR comes to lie whose stored values don't fit whole numbers.
_RESCALED_TOP = 10_000.0

Turns = Literal["all", "mirror", "none"]
Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class CachedScan:
    """One scan in a crop cache.

    Attributes
    ----------
    name
        Name of the scan.
    sha256
        Hash of the scan's pixel data.
    file
        int16 HU ``[slice, row, column]`` as .npy, for memory mapping.
    slices
        Number of slices.
    low, high
        The scan's own range of intensities, for modalities without absolute units: zero and the 99.9th percentile.
    """

    name: str
    sha256: str
    file: str
    slices: int
    low: float
    high: float


def build_cache(
    scans: Iterable[Scan], folder: Path, progress: Callable[[str], None] = lambda name: None, *, of: str = ""
) -> list[CachedScan]:
    """Write each scan once as int16 with the centres that crops may have.

    Parameters
    ----------
    scans
        Authentic scans; one at a time is held in memory.
    folder
        Where the cache lies; made if missing.
    progress
        Called with each scan's name when it is in the cache.
    of
        What the scans are, in whatever words; `read_cache` compares it.

    Raises
    ------
    TrainingError
        If there was no scan at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cached = []
    for scan in scans:
        cached.append(_cache_scan(scan, folder))
        progress(scan.name)
    if not cached:
        raise TrainingError(f"{folder}: no scan to train on. Give a folder of authentic scans.")
    index = {"of": of, "scans": [vars(entry) for entry in cached]}
    temporary = folder / (_INDEX + ".tmp")
    temporary.write_text(json.dumps(index, indent=1))
    temporary.replace(folder / _INDEX)
    return cached


def read_cache(folder: Path, *, of: str = "") -> list[CachedScan] | None:
    """Return what a complete cache holds, or None where there is none.

    Raises
    ------
    TrainingError
        If the cache is of other scans.
    """
    path = folder / _INDEX
    if not path.exists():
        return None
    index = json.loads(path.read_text())
    if index["of"] != of:
        raise TrainingError(f"{folder}: was made of other scans. Choose another --out folder, or remove this one.")
    return [CachedScan(**entry) for entry in index["scans"]]


def _cache_scan(scan: Scan, folder: Path) -> CachedScan:
    stem = hashlib.sha256((scan.name + scan.sha256).encode()).hexdigest()[:16]
    own = signal_window(scan.voxels)
    scale = 1.0 if scan.modality == "CT" or _whole_numbers(scan.voxels) else _RESCALED_TOP / own.high
    stored = scan.voxels if scale == 1.0 else scan.voxels * np.float32(scale)
    np.save(folder / f"{stem}.npy", np.clip(np.rint(stored), -32768, 32767).astype(np.int16))
    air = None if scan.modality == "CT" else find_air(scan.voxels, own)
    lungs, bodies = zip(*(_centres(image, scan, air) for image in scan.voxels), strict=True)
    np.savez(folder / f"{stem}.centres.npz", lung=np.stack(lungs), body=np.stack(bodies))
    return CachedScan(scan.name, scan.sha256, f"{stem}.npy", scan.shape[0], own.low, own.high * scale)


def _whole_numbers(voxels: NDArray[np.float32]) -> bool:
    """Whether int16 holds an MR's signal as it is; one slice tells, and a range of 0 to 1 must not become 0 and 1."""
    middle = voxels[len(voxels) // 2]
    return bool(np.array_equal(middle, np.rint(middle)) and voxels.max() <= _MOST_INT16)


def _centres(
    image: NDArray[np.float32], scan: Scan, air: AirSignal | None
) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Draw pixels of the lung and of the body, ``[256, 2]`` each; -1 where the slice has none."""
    rng = np.random.default_rng(0)
    if air is not None:
        body = _some_pixels(body_mask(image, air, scan.spacing_mm[1:]), rng)
        return np.full_like(body, -1), body
    return _some_pixels(lung_mask(image, scan.spacing_mm[1:]), rng), _some_pixels(image > _BODY_HU, rng)


def _some_pixels(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int16]:
    pixels = np.argwhere(mask)
    if len(pixels) == 0:
        return np.full((_CENTRES_A_SLICE, 2), -1, dtype=np.int16)
    return pixels[rng.integers(len(pixels), size=_CENTRES_A_SLICE)].astype(np.int16)


class CropSource:
    """Draws authentic crops in model units.

    Parameters
    ----------
    folder
        A crop cache.
    cached
        Which of its scans to draw from.
    crop_px
        Side of a crop in pixels.
    window
        Maps HU to model units; None to map each scan by its own range (MR).
    turns
        ``"all"`` eight turns and mirrorings by 90 degrees, ``"mirror"`` left to right only, or ``"none"``.
    shift_hu
        Crops are shifted by up to this many HU, so that the network learns noise and not absolute density.
    gain
        Without a window, crops are multiplied by up to this factor or its inverse: a receiver's gain is as arbitrary.
    neighbours
        `draw` cuts the same square from so many slices on either side. Slices that lack one are not drawn: a slice
        repeated in its place would get other noise, and two noisy copies of one slice give the noise away.

    Raises
    ------
    TrainingError
        If no scan has that many slices.
    """

    def __init__(
        self,
        folder: Path,
        cached: list[CachedScan],
        *,
        crop_px: int,
        window: IntensityWindow | None,
        turns: Turns = "all",
        shift_hu: float = 20.0,
        gain: float = 1.0,
        neighbours: int = 0,
    ) -> None:
        self._crop_px = crop_px
        self._windows = [window or IntensityWindow(entry.low, entry.high) for entry in cached]
        self._shift = shift_hu if window else 0.0
        self._log_gain = 0.0 if window else float(np.log(gain))
        self._turns = turns
        self._volumes = [np.load(folder / entry.file, mmap_mode="r") for entry in cached]
        self._centres = [_load_centres(folder / entry.file) for entry in cached]
        self._neighbours = neighbours
        self._chances = _chances(cached, 2 * neighbours + 1)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Draw crops, turned and mirrored at random.

        Returns
        -------
        float32 ``[count, slice, row, column]`` in model units: one slice, or the middle one between its neighbours.
        """
        return np.stack([self._draw_one(rng) for _ in range(count)])

    def draw_stored(
        self, rng: np.random.Generator, count: int, crop_px: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Draw crops of any side as they were stored (HU, or the signal of an MR), turned and mirrored at random.

        Returns
        -------
        float32 ``[count, row, column]`` and the number ``[count]`` of the scan that each is of.
        """
        drawn = [self._cut_one(rng, crop_px) for _ in range(count)]
        crops = np.stack([_turn(crop, rng, self._turns) for crop, _ in drawn])
        return crops, np.array([index for _, index in drawn])

    def draw_lung(
        self, rng: np.random.Generator, count: int, crop_px: int
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Like `draw_stored`, but only around places in the lung.

        Raises
        ------
        TrainingError
            If no slice of any scan holds lung.
        """
        drawn = [self._cut_lung(rng, crop_px) for _ in range(count)]
        crops = np.stack([_turn(crop, rng, self._turns) for crop, _ in drawn])
        return crops, np.array([index for _, index in drawn])

    def draw_body(self, rng: np.random.Generator, crop_px: int) -> tuple[NDArray[np.float32], float]:
        """Draw a crop of MR on the scale of HU: its scan's own range laid on the window `LUNG_NOISE_CT`.

        Returns
        -------
        float32 ``[row, column]``, and how far two neighbouring values of the stored signal lie apart on that scale.
        """
        stored, numbers = self.draw_stored(rng, 1, crop_px)
        gain = float(np.exp(rng.uniform(-self._log_gain, self._log_gain)))
        own = self._windows[numbers[0]]
        return LUNG_NOISE_CT.from_unit(own.to_unit(stored[0] * gain)), LUNG_NOISE_CT.width * gain / own.width

    def _cut_lung(self, rng: np.random.Generator, crop_px: int) -> tuple[NDArray[np.float32], int]:
        with_lung = [np.flatnonzero(lung[:, 0, 0] >= 0) for lung, _ in self._centres]
        chances = self._chances * [slices.size > 0 for slices in with_lung]
        if not chances.any():
            raise TrainingError("no slice of the scans holds lung. Give chest CT.")
        index = int(rng.choice(len(chances), p=chances / chances.sum()))
        z = int(rng.choice(with_lung[index]))
        row, column = self._centres[index][0][z, rng.integers(_CENTRES_A_SLICE)]
        return cut_square(self._volumes[index][z], int(row), int(column), crop_px).astype(np.float32), index

    def _draw_one(self, rng: np.random.Generator) -> NDArray[np.float32]:
        index, z, row, column = self._place(rng)
        slices = self._volumes[index][z - self._neighbours : z + self._neighbours + 1]
        crop = np.stack([cut_square(image, row, column, self._crop_px) for image in slices]).astype(np.float32)
        crop += rng.uniform(-self._shift, self._shift)
        if self._log_gain:
            crop *= np.exp(rng.uniform(-self._log_gain, self._log_gain))
        return _turn(self._windows[index].to_model(crop), rng, self._turns)

    def _cut_one(self, rng: np.random.Generator, crop_px: int) -> tuple[NDArray[np.float32], int]:
        index, z, row, column = self._place(rng)
        return cut_square(self._volumes[index][z], row, column, crop_px).astype(np.float32), index

    def _place(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw (scan, slice, row, column) of a crop's centre."""
        index = int(rng.choice(len(self._volumes), p=self._chances))
        volume, (lung, body) = self._volumes[index], self._centres[index]
        z = int(rng.integers(self._neighbours, volume.shape[0] - self._neighbours))
        in_lung = lung[z, 0, 0] >= 0 and rng.random() < _LUNG_SHARE
        centres = lung if in_lung or body[z, 0, 0] < 0 else body
        row, column = centres[z, rng.integers(centres.shape[1])]
        return index, z, int(row), int(column)


def _load_centres(volume_file: Path) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    with np.load(volume_file.with_suffix(".centres.npz")) as stored:
        return stored["lung"], stored["body"]


def _chances(cached: list[CachedScan], least_slices: int) -> NDArray[np.float64]:
    """Weigh a scan by the square root of its slices: long series say more, but must not drown the other scanners."""
    weights = np.sqrt([float(entry.slices) if entry.slices >= least_slices else 0.0 for entry in cached])
    if not weights.any():
        raise TrainingError(f"no scan has {least_slices} slices in a row. Give series, or train without neighbours.")
    chances: NDArray[np.float64] = weights / weights.sum()
    return chances


def cut_square(image: NDArray[Pixel], row: int, column: int, side: int) -> NDArray[Pixel]:
    """Cut a square around a pixel, moved inwards at the border; small images are padded by their edge."""
    short = (max(0, side - image.shape[0]), max(0, side - image.shape[1]))
    if any(short):
        image = np.pad(image, ((0, short[0]), (0, short[1])), mode="edge")
    top = min(max(row - side // 2, 0), image.shape[0] - side)
    left = min(max(column - side // 2, 0), image.shape[1] - side)
    return image[top : top + side, left : left + side]


def _turn(crop: NDArray[np.float32], rng: np.random.Generator, turns: Turns) -> NDArray[np.float32]:
    """Turn by a multiple of 90 degrees and mirror: the only augmentations that leave the noise as it is."""
    if turns == "none":
        return crop
    turned = np.rot90(crop, int(rng.integers(4)), axes=(-2, -1)) if turns == "all" else crop
    return np.ascontiguousarray(turned[..., ::-1] if rng.random() < 0.5 else turned)
