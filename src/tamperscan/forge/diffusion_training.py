"""Train the in-painting diffusion model: from a folder of authentic CT to weights."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from tamperscan.detect.training import find_scans, read_split
from tamperscan.errors import ScanError
from tamperscan.forge.diffusion_crops import CachedScan, TripleSource, build_cache
from tamperscan.forge.diffusion_run import DiffusionRun, DiffusionSettings
from tamperscan.forge.weights import write_weights
from tamperscan.scan.windows import IntensityWindow

KIND: Final = "inpainting-diffusion"
"""What the card of these weights says that they are."""

_CACHE, _WEIGHTS = "cache", "weights"


def train_diffusion(
    data: Path,
    out: Path,
    *,
    split: Path | None = None,
    part: str = "train",
    steps: int | None = None,
    seed: int = 0,
    licence: str = "",
    settings: DiffusionSettings | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[int, int], None] = lambda step, steps: None,
) -> Path:
    """Train the network and write it as weights.

    A run that was killed goes on from where it was, with the same ``out`` and settings. Every step draws from a
    generator seeded by (seed, step), so that it sees what an unbroken run would have seen.

    Parameters
    ----------
    data
        Folder of authentic CT scans; others are left out and told to ``on_error``.
    out
        Folder of the run: ``cache/``, ``state.safetensors``, ``loss.csv``, and at the end ``weights/``.
    split, part
        JSON file of part to globs below ``data``, and which part to train on; without a split, all.
    steps
        Optimiser steps in all; None for the number of the settings.
    seed
        Of weights, crops and noise.
    licence
        Goes to the card.
    settings
        Network and run; None for those of the packaged weights.
    on_error
        Called with what can't be read or used.
    report
        Called with (step, steps) after each step.

    Returns
    -------
    pathlib.Path
        Folder of the weights.

    Raises
    ------
    TrainingError
        If there is no scan, the split can't be read, the folder belongs to another run, or the loss stays not finite.
    ScanError
        If the folder can't be read.
    """
    settings = settings or DiffusionSettings()
    patterns = None if split is None else read_split(split, part)
    of = hashlib.sha256(json.dumps([str(data.resolve()), patterns]).encode()).hexdigest()
    cached = build_cache(find_scans(data, "CT", patterns=patterns, on_error=on_error), out / _CACHE, of=of)
    window = IntensityWindow(*settings.window)
    crops = TripleSource(out / _CACHE, cached, crop_px=settings.crop_px, window=window)
    run = DiffusionRun(settings, crops, out, seed=seed, steps=steps or settings.steps)
    run.go(report)
    write_weights(out / _WEIGHTS, run.ema.model.state_dict(), _card(run, cached, licence))
    return out / _WEIGHTS


def _card(run: DiffusionRun, cached: list[CachedScan], licence: str) -> dict[str, Any]:
    settings = asdict(run.settings)
    del settings["steps"]  # how many there were is told beside them
    return {
        "kind": KIND,
        "modality": "CT",
        "window": list(run.settings.window),
        "crop_px": run.settings.crop_px,
        "schedule": run.settings.schedule,
        "timesteps": run.settings.timesteps,
        "network": run.settings.network.as_dict(),
        "licence": licence,
        "training": {
            "settings": settings,
            "seed": run.seed,
            "steps": run.step,
            "loss": round(run.loss, 5),
            "seconds": round(run.seconds),
            "scans": [{"name": scan.name, "slices": scan.slices, "sha256": scan.sha256} for scan in cached],
            "versions": {name: version(name) for name in ("tamperscan", "torch", "numpy")},
            "machine": platform.machine(),
        },
    }
