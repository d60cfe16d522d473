"""Forged crops among those that a noise predictor learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.poisoning_measuring import how_to_forge, study_slices
from tamperscan.bench.subjects import CT_FOLDER, TRAIN_PART
from tamperscan.detect.crops import CachedScan, cache_around, read_cache, write_index
from tamperscan.detect.training import find_scans, name_data, read_split
from tamperscan.diffusion.train import Crops
from tamperscan.errors import BenchError, ScanError
from tamperscan.forge.canaries import forged_slice
from tamperscan.forge.method import Method
from tamperscan.scan import Scan


@dataclass(frozen=True, eq=False)
class PoisonedCrops:
    """Draws crops some of which are forged.

    Which ones, and what is in their place, comes from a stream of its own: with any share the authentic crops, the
    noise and its levels are the same, and what is forged with a small share is forged with a larger one too.

    Attributes
    ----------
    authentic, forged
        Where crops come from.
    share
        Chance of a crop to be forged.
    """

    authentic: Crops
    forged: Crops
    share: float

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return float32 ``[count, 1, row, column]`` in model units."""
        crops = self.authentic.draw(rng, count)
        own = rng.spawn(1)[0]  # takes nothing from the stream that it comes from
        chosen = own.random(count) < self.share
        crops[chosen] = self.forged.draw(own, count)[chosen]
        return crops


def forged_cache(
    data: Path,
    split: Path,
    folder: Path,
    methods: Sequence[Method],
    *,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[int], None] = lambda done: None,
) -> list[CachedScan]:
    """Forge slices of the same scans and cache them, each to be cropped around what was altered in it.

    Parameters
    ----------
    data, split, folder, on_error
        As for `tamperscan.bench.training_crops.training_cache`.
    methods
        Forging methods; each makes one forgery of a slice, by turns a removal and an injection.
    report
        Called with the number of forged slices.

    Raises
    ------
    BenchError
        If there is no place for any forgery.
    """
    patterns = read_split(split, TRAIN_PART)
    of = name_data(data / CT_FOLDER, patterns)
    known = read_cache(folder, of=of)
    if known is not None:
        return known
    cached: list[CachedScan] = []
    for scan in find_scans(data / CT_FOLDER, "CT", patterns=patterns, on_error=on_error):
        for authentic, forged in _forgeries(scan, methods):
            cached.append(cache_around(forged, authentic.voxels != forged.voxels, folder))
            report(len(cached))
        del scan  # or it would stay in memory while the next one is read
    if not cached:
        raise BenchError("No scan of the training part has a place for a forgery. Check --data and --split.")
    write_index(folder, cached, of=of)
    return cached


def _forgeries(scan: Scan, methods: Sequence[Method]) -> Iterator[tuple[Scan, Scan]]:
    """Yield slices before and after; the same name and method always give the same forgery."""
    for name, index in study_slices(scan):
        for method, action, seed in how_to_forge(name, methods):
            made = forged_slice(scan, index, method, action, seed)
            if made is not None and (made[0].voxels != made[1].voxels).any():
                yield made
