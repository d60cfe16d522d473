"""Crops of the split's training part, for the noise predictors that the bench trains itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from tamperscan.bench.subjects import CT_FOLDER, TRAIN_PART
from tamperscan.detect.crops import CachedScan, CropSource, build_cache, read_cache
from tamperscan.detect.training import name_data, plan_training, read_split
from tamperscan.diffusion.presets import TrainingPreset
from tamperscan.errors import ScanError
from tamperscan.scan.windows import IntensityWindow


def training_cache(
    data: Path, split: Path, folder: Path, on_error: Callable[[ScanError], None] = lambda error: None
) -> list[CachedScan]:
    """Cache the scans of the split's training part, or find them where that was done before.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    folder
        Of the cache.
    on_error
        Called with what can't be read.
    """
    patterns = read_split(split, TRAIN_PART)
    of = name_data(data / CT_FOLDER, patterns)
    scans = plan_training(data / CT_FOLDER, "CT", patterns=patterns, on_error=on_error)
    return read_cache(folder, of=of) or build_cache(scans, folder, of=of)


def crops_for(preset: TrainingPreset, folder: Path, cached: Sequence[CachedScan]) -> CropSource:
    """Draw crops from a cache as a CT preset wants them."""
    assert preset.window is not None  # the bench trains on CT
    return CropSource(
        folder,
        list(cached),
        crop_px=preset.crop_px,
        window=IntensityWindow(*preset.window),
        neighbours=preset.neighbours,
    )
