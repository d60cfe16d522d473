"""A small study of noise predictors: size, length of training, and neighbouring slices, one thing changed at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from tamperscan.bench.training_crops import crops_for, training_cache
from tamperscan.detect.crops import CachedScan
from tamperscan.diffusion.presets import LOW_NOISE_CT, TrainingPreset
from tamperscan.diffusion.train import Progress, train
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.errors import BenchError, ScanError

STEPS = 600
# Every variant learns from series, so that neighbours are all that tells that variant from the others.
LEAST_SLICES = 3
BASE = "middle"
NEIGHBOURS = "neighbours"
CACHE_FOLDER = "cache"
_SEED = 0

# The packaged settings, but with fewer and smaller crops a step, and an average that a short run can have.
STUDY = replace(
    LOW_NOISE_CT, name="predictor-study", crop_px=64, batch=8, ema_decay=0.99, ema_start=100, ema_power=2 / 3
)


@dataclass(frozen=True)
class Variant:
    """One way to train a predictor.

    Attributes
    ----------
    words
        What it is, for a table.
    preset
        Network and settings.
    share
        Its part of the study's optimiser steps.
    """

    words: str
    preset: TrainingPreset = STUDY
    share: float = 1.0


VARIANTS: MappingProxyType[str, Variant] = MappingProxyType(
    {
        BASE: Variant("widths 32, 64, 96"),
        NEIGHBOURS: Variant("the same with both neighbouring slices", replace(STUDY, neighbours=1)),
        "small": Variant("widths 16, 32, 48", replace(STUDY, widths=(16, 32, 48))),
        "half": Variant("half the steps", share=0.5),
        "large": Variant("widths 48, 96, 144", replace(STUDY, widths=(48, 96, 144))),
    }
)


@dataclass(frozen=True)
class Trained:
    """A variant after its training.

    Attributes
    ----------
    name
        Of `VARIANTS`.
    network
        With averaged weights.
    steps
        Optimiser steps.
    """

    name: str
    network: LocalUNet
    steps: int


def check_variants(names: Sequence[str], variants: Mapping[str, Variant] = VARIANTS) -> None:
    """Raise a BenchError if a variant is not known, or none is named."""
    unknown = [name for name in names if name not in variants]
    if unknown or not names:
        problem = f"There is no variant '{unknown[0]}'." if unknown else "No variant is named."
        raise BenchError(f"{problem} Choose of {', '.join(variants)}.")


def study_cache(
    data: Path, split: Path, runs: Path, on_error: Callable[[ScanError], None] = lambda error: None
) -> list[CachedScan]:
    """Return the series to learn from; the scans of the training part are read once."""
    cached = training_cache(data, split, runs / CACHE_FOLDER, on_error)
    return [scan for scan in cached if scan.slices >= LEAST_SLICES]


def train_variant(
    name: str,
    cached: Sequence[CachedScan],
    runs: Path,
    steps: int = STEPS,
    *,
    variants: Mapping[str, Variant] = VARIANTS,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Train a variant in its own folder; one that was interrupted goes on, a finished one is only read.

    Parameters
    ----------
    name
        Of the variant.
    cached
        What `study_cache` gave.
    runs
        Folder of the study.
    steps
        Optimiser steps of the study; the variant takes its share of them.
    variants
        Where it is looked up.
    report
        Called after each step.
    """
    variant = variants[name]
    own_steps = max(1, round(variant.share * steps))
    preset = variant.preset
    crops = crops_for(preset, runs / CACHE_FOLDER, cached)
    folder = runs / f"{name}-{own_steps}"
    run = train(preset, crops, folder, seed=_SEED, steps=own_steps, report=report)
    assert isinstance(run.network, LocalUNet)  # all variants are
    return Trained(name, run.network, own_steps)
