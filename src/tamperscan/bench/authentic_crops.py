"""The authentic crops that every contender learns from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.fingerprints import fingerprint, hash_of
from tamperscan.bench.subjects import TRAIN_PART
from tamperscan.bench.units import MR_TOP
from tamperscan.detect.crops import CachedScan, CropSource, build_cache, read_cache
from tamperscan.detect.training import find_patients, read_split
from tamperscan.errors import ScanError, TrainingError
from tamperscan.scan.windows import IntensityWindow


class AuthenticCrops:
    """Crops of authentic scans in bench units, from a crop cache; see `contenders.contender.Authentic`.

    Parameters
    ----------
    folder
        A crop cache.
    cached
        What it holds.
    modality
        ``"CT"`` or ``"MR"``.

    Attributes
    ----------
    modality
        As given.
    data
        Hash of the scans' pixels: what contenders learned from it is kept by.
    scans
        How many there are.
    """

    def __init__(self, folder: Path, cached: list[CachedScan], modality: str) -> None:
        self.modality = modality
        self.data = hash_of([entry.sha256 for entry in cached])
        self.scans = len(cached)
        window = None if modality != "CT" else IntensityWindow(-1024.0, 1024.0)
        self._source = CropSource(folder, cached, crop_px=1, window=window, shift_hu=0.0)
        self._scale = np.array([1.0 if modality == "CT" else MR_TOP / entry.high for entry in cached], np.float32)

    @classmethod
    def read(cls, folder: Path, modality: str) -> AuthenticCrops:
        """Open a crop cache that `cache_crops` made.

        Raises
        ------
        TrainingError
            If it is not complete.
        """
        cached = read_cache(folder, of=folder.name)
        if cached is None:
            raise TrainingError(f"{folder}: holds no complete cache of authentic crops. Run the command again.")
        return cls(folder, cached, modality)

    def draw(self, rng: np.random.Generator, count: int, side: int) -> NDArray[np.float32]:
        """Return float32 ``[count, row, column]`` in bench units, turned and mirrored at random."""
        crops, scans = self._source.draw_stored(rng, count, side)
        return crops * self._scale[scans][:, None, None]


def cache_crops(
    folder: Path,
    cache: Path,
    modality: str,
    *,
    split: Path,
    on_error: Callable[[ScanError], None] = lambda error: None,
    on_scan: Callable[[str], None] = lambda name: None,
) -> Path:
    """Cache the crops of a split's part "train", unless an earlier run did.

    Parameters
    ----------
    folder
        Authentic scans.
    cache
        Folder of all crop caches; each is named by the files that it was made of.
    modality
        Of the scans.
    split
        JSON file of part to globs below ``folder``.
    on_error
        Called with what can't be read.
    on_scan
        Called with the name of each scan that is in the cache.

    Returns
    -------
    Path
        Folder of this cache.

    Raises
    ------
    TrainingError
        If there is no scan to learn from.
    """
    of = fingerprint(folder, modality, *read_split(split, TRAIN_PART))
    place = cache / of
    if read_cache(place, of=of) is None:
        found = find_patients(folder, modality, split=split, parts=[TRAIN_PART], on_error=on_error)
        build_cache((scan for _, scan in found), place, on_scan, of=of)
    return place
