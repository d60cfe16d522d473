"""Authentic crops for training, cut on the fly from lungs and bodies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.regions import lung_mask
from tamperscan.detect.regions_mr import AirSignal, body_mask, find_air
from tamperscan.detect.source_keys import files_key
from tamperscan.detect.vetting import scanner_of
from tamperscan.errors import TrainingError
from tamperscan.files import make_folder, new_file, write_file
from tamperscan.scan import PlannedScan, Scan
from tamperscan.scan.windows import LUNG_NOISE_CT, IntensityWindow, signal_window

# Of the crops, this part is centred in the lung where a slice has one; the rest anywhere in the body, so that the
# network has seen every tissue that the lung's border can bring into its view.
_LUNG_SHARE = 0.75
_BODY_HU = -400.0
_CENTRES_A_SLICE = 256
_INDEX = "index.json"
_CENTRES = ".centres.npz"
# Raised where the same scan would be cached otherwise.
_MADE_BY = "crops 2"
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
        int16 HU ``[slice, row, column]`` as .npy, for memory mapping: a name in the folder, or a path.
    slices
        Number of slices.
    low, high
        The scan's own range of intensities, for modalities without absolute units: zero and the 99.9th percentile.
    scanner
        Maker and model of the scanner by its header; empty where it does not say.
    """

    name: str
    sha256: str
    file: str
    slices: int
    low: float
    high: float
    scanner: str = ""


def build_cache(
    scans: Iterable[Scan | PlannedScan],
    folder: Path,
    progress: Callable[[str], None] = lambda name: None,
    *,
    of: str = "",
    arrays: Path | None = None,
) -> list[CachedScan]:
    """Write each scan once as int16 with the centres that crops may have.

    A scan that is there already is not decoded again: a build that was killed goes on, and runs that share a folder of
    arrays share the work. Several may write there at a time, as every file takes its place in one step.

    Parameters
    ----------
    scans
        Authentic scans, decoded or still to be; one at a time is held in memory.
    folder
        Where the index lies; made if missing.
    progress
        Called with each scan's name when it is in the cache, before the next scan is asked for.
    of
        What the scans are, in whatever words; `read_cache` compares it.
    arrays
        Where the arrays lie, if not with the index; made if missing.

    Raises
    ------
    TrainingError
        If there was no scan at all.
    """
    place = arrays or folder
    for each in (folder, place):
        make_folder(each)
    cached = []
    for scan in scans:
        stem = _stem(scan)
        entry = _find_scan(place, stem) or _cache_scan(scan, place, stem)
        del scan  # or it would stay in memory while the next one is read
        if entry is not None:
            cached.append(entry if arrays is None else replace(entry, file=str((place / entry.file).absolute())))
            progress(entry.name)
    if not cached:
        raise TrainingError(f"{folder}: no scan to train on. Give a folder of authentic scans.")
    write_index(folder, cached, of=of)
    return cached


def write_index(folder: Path, cached: Sequence[CachedScan], *, of: str = "") -> None:
    """Say what a complete cache holds; `read_cache` reads it."""
    index = {"of": of, "scans": [vars(entry) for entry in cached]}
    write_file(folder / _INDEX, json.dumps(index, indent=1).encode())


def cache_around(scan: Scan, places: NDArray[np.bool_], folder: Path) -> CachedScan:
    """Write a CT whose crops are all to be centred in given places.

    Parameters
    ----------
    scan
        CT.
    places
        bool ``[slice, row, column]``, some of them in each slice.
    folder
        A crop cache, which has no index yet.
    """
    make_folder(folder)
    rng = np.random.default_rng(0)
    centres = np.stack([_some_pixels(each, rng) for each in places])
    return _write_scan(scan, folder, _stem(scan), scan.voxels, signal_window(scan.voxels), (centres, centres))


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


def _stem(scan: Scan | PlannedScan) -> str:
    """Name a scan's files by what it is made of and how."""
    if isinstance(scan, PlannedScan):
        return files_key((source.label for source in scan.sources), f"{_MADE_BY} {scan.name}")
    return hashlib.sha256(f"{_MADE_BY} {scan.name} {scan.sha256}".encode()).hexdigest()[:32]


def _find_scan(folder: Path, stem: str) -> CachedScan | None:
    """Find a scan that was cached before; its facts are written last."""
    try:
        entry = CachedScan(**json.loads((folder / f"{stem}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None
    there = (folder / entry.file).is_file() and (folder / entry.file).with_suffix(_CENTRES).is_file()
    return entry if there else None


def _cache_scan(planned: Scan | PlannedScan, folder: Path, stem: str) -> CachedScan | None:
    """Write a scan's arrays; None if it can't be read, which was told."""
    scan = planned.read() if isinstance(planned, PlannedScan) else planned
    if scan is None or not scan.voxels.size:
        return None
    own = signal_window(scan.voxels)
    scale = 1.0 if scan.modality == "CT" or _whole_numbers(scan.voxels) else _RESCALED_TOP / own.high
    stored = scan.voxels if scale == 1.0 else scan.voxels * np.float32(scale)
    air = None if scan.modality == "CT" else find_air(scan.voxels, own)
    lungs, bodies = zip(*(_centres(image, scan, air) for image in scan.voxels), strict=True)
    range_of_stored = IntensityWindow(own.low, own.high * scale)
    return _write_scan(scan, folder, stem, stored, range_of_stored, (np.stack(lungs), np.stack(bodies)))


def _write_scan(
    scan: Scan,
    folder: Path,
    stem: str,
    stored: NDArray[np.float32],
    own: IntensityWindow,
    centres: tuple[NDArray[np.int16], NDArray[np.int16]],
) -> CachedScan:
    """Write values, centres of crops in lung and body ``[slice, 256, 2]``, and at last the facts."""
    with new_file(folder / f"{stem}.npy") as volume:
        np.save(volume, np.clip(np.rint(stored), -32768, 32767).astype(np.int16))
    with new_file(folder / f"{stem}{_CENTRES}") as beside:
        np.savez(beside, lung=centres[0], body=centres[1])
    scanner = scanner_of(scan.metadata)
    entry = CachedScan(scan.name, scan.sha256, f"{stem}.npy", scan.shape[0], own.low, own.high, scanner)
    write_file(folder / f"{stem}.json", json.dumps(vars(entry)).encode())
    return entry


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
    shares
        How often each scan is drawn from, ``[scan]``; by the square root of its slices if None.

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
        shares: NDArray[np.float64] | None = None,
    ) -> None:
        self._folder, self._files, self._crop_px = folder, [entry.file for entry in cached], crop_px
        self._windows = [window or IntensityWindow(entry.low, entry.high) for entry in cached]
        self._shift = shift_hu if window else 0.0
        self._log_gain = 0.0 if window else float(np.log(gain))
        self._turns = turns
        self._open()
        self._neighbours = neighbours
        self._chances = _chances(cached, 2 * neighbours + 1, shares)
        self._cumulated = np.cumsum(self._chances) / np.cumsum(self._chances)[-1]

    def _open(self) -> None:
        # As plain arrays: each cut out of a numpy.memmap would take several times as long.
        self._volumes = [np.asarray(np.load(self._folder / file, mmap_mode="r")) for file in self._files]
        self._centres = [_load_centres(self._folder / file) for file in self._files]

    def __getstate__(self) -> dict[str, Any]:
        """Leave the arrays out: a process that draws maps them into its own memory."""
        return {name: value for name, value in vars(self).items() if name not in ("_volumes", "_centres")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map the arrays."""
        vars(self).update(state)
        self._open()

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Draw crops, turned and mirrored at random.

        Returns
        -------
        float32 ``[count, slice, row, column]`` in model units: one slice, or the middle one between its neighbours.
        """
        crops = np.empty((count, 2 * self._neighbours + 1, self._crop_px, self._crop_px), dtype=np.float32)
        for crop in crops:
            crop[:] = self._draw_one(rng)
        return crops

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
        crop = np.empty((len(slices), self._crop_px, self._crop_px), dtype=np.float32)
        for image, cut in zip(slices, crop, strict=True):
            cut[:] = cut_square(image, row, column, self._crop_px)
        crop += rng.uniform(-self._shift, self._shift)
        if self._log_gain:
            crop *= np.exp(rng.uniform(-self._log_gain, self._log_gain))
        return _turn(self._windows[index].to_model(crop), rng, self._turns)

    def _cut_one(self, rng: np.random.Generator, crop_px: int) -> tuple[NDArray[np.float32], int]:
        index, z, row, column = self._place(rng)
        return cut_square(self._volumes[index][z], row, column, crop_px).astype(np.float32), index

    def _place(self, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw (scan, slice, row, column) of a crop's centre."""
        # As rng.choice(p=...) draws, without its checks: they would take as long as cutting a crop.
        index = int(self._cumulated.searchsorted(rng.random(), side="right"))
        volume, (lung, body) = self._volumes[index], self._centres[index]
        z = int(rng.integers(self._neighbours, volume.shape[0] - self._neighbours))
        in_lung = lung[z, 0, 0] >= 0 and rng.random() < _LUNG_SHARE
        centres = lung if in_lung or body[z, 0, 0] < 0 else body
        row, column = centres[z, rng.integers(centres.shape[1])]
        return index, z, int(row), int(column)


def crop_places(volume_file: Path, rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """Draw (slice, row, column) of centres of crops in a cached scan, as often in the lung as in training."""
    lung, body = _load_centres(volume_file)
    places = []
    for z in rng.integers(len(lung), size=count):
        centres = lung[z] if lung[z, 0, 0] >= 0 and rng.random() < _LUNG_SHARE else body[z]
        row, column = centres[rng.integers(_CENTRES_A_SLICE)]
        if row >= 0:
            places.append((int(z), int(row), int(column)))
    return places


def _load_centres(volume_file: Path) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    with np.load(volume_file.with_suffix(_CENTRES)) as stored:
        return stored["lung"], stored["body"]


def _chances(
    cached: list[CachedScan], least_slices: int, shares: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Weigh a scan by its share, or the square root of its slices: long series must not drown the other scanners."""
    weights = np.sqrt([float(entry.slices) for entry in cached]) if shares is None else shares.copy()
    weights[[entry.slices < least_slices for entry in cached]] = 0.0
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
