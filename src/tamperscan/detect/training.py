"""From a folder of authentic scans to weights: cache, train, export. Needs the ``train`` extra (torch)."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tamperscan.detect.crops import CachedScan, CropSource, build_cache, read_cache
from tamperscan.detect.learning_set import Vetting, crop_shares, vet
from tamperscan.detect.review import write_review
from tamperscan.diffusion.loss_curve import write_loss_curve
from tamperscan.diffusion.presets import TrainingPreset
from tamperscan.diffusion.weights import Card, Weights, open_weights
from tamperscan.errors import ScanError, TrainingError
from tamperscan.scan import PlannedScan, Scan, plan_scans
from tamperscan.scan.windows import IntensityWindow

if TYPE_CHECKING:
    from tamperscan.diffusion.train import Progress

WEIGHTS_FOLDER = "weights"
CACHE_FOLDER = "cache"
LOSS_PICTURE = "loss.png"
# The levels at which the packaged kind of detector looks; see docs/explanation/method.md.
SCREENING_LEVELS_HU = (15.0, 26.0)
# The same for MR, in parts of the scan's range; see docs/model-card-mr.md.
SCREENING_LEVELS_OF_RANGE = (0.012, 0.024)
# MR crops are brightened or darkened by up to this factor.
_MR_GAIN = 1.4
_LONGEST_DECODING = timedelta(days=7)


@dataclass(frozen=True)
class TrainingOptions:
    """What a user may choose about a training run.

    Attributes
    ----------
    preset
        Network and settings.
    name
        Name of the detector.
    steps
        Optimiser steps; None for the preset's number.
    seed
        Seed of weights, crops and noise.
    bf16
        Convolutions in bfloat16; None for where the hardware is fast at it.
    loaders
        Processes that draw crops ahead; None for as many as there are cores beside a GPU, and none beside a CPU.
    licence
        Goes to the card.
    data
        What the scans are; an interrupted run goes on only with the same.
    arrays
        Folder of the decoded scans, which runs may share; None for the run's own.
    vetting
        What may be learned from.
    """

    preset: TrainingPreset
    name: str
    steps: int | None = None
    seed: int = 0
    bf16: bool | None = None
    loaders: int | None = None
    licence: str = ""
    data: str = ""
    arrays: Path | None = None
    vetting: Vetting = field(default_factory=Vetting)


def find_scans(
    folder: Path,
    modality: str,
    *,
    patterns: list[str] | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
) -> Iterator[Scan]:
    """Yield the scans to learn from, one at a time.

    Parameters
    ----------
    folder
        Searched with all folders below it.
    modality
        Scans of other modalities are left out, and told to ``on_error``.
    patterns
        Globs relative to the folder; only files and folders that match one are read. None for all. A star matches
        within one name, not over the folders between.
    on_error
        Called with what can't be read or used.
    """
    for planned in plan_training(folder, modality, patterns=patterns, on_error=on_error):
        scan = planned.read()
        if scan is not None:
            yield scan
        del scan  # or it would stay in memory while the next one is read


def plan_training(
    folder: Path,
    modality: str,
    *,
    patterns: list[str] | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
) -> Iterator[PlannedScan]:
    """Yield the scans to learn from, not decoded yet; otherwise as `find_scans`."""
    for place in _places(folder, patterns, on_error):
        for planned in plan_scans(place, on_error=on_error) if patterns is None else _plan_if_any(place, on_error):
            yield replace(planned, read=partial(_read_if, planned, place, modality, on_error))


def _read_if(planned: PlannedScan, place: Path, modality: str, on_error: Callable[[ScanError], None]) -> Scan | None:
    """Decode a scan; None where that fails, or where it is of another modality, both told."""
    scan = planned.read()
    if scan is None or scan.modality == modality:
        return scan
    on_error(ScanError(place, f"is {scan.modality}, not {modality}", "Leave it out"))
    return None


def plan_patients(
    folder: Path,
    modality: str,
    *,
    split: Path | None = None,
    parts: list[str],
    on_error: Callable[[ScanError], None] = lambda error: None,
) -> Iterator[tuple[str, PlannedScan]]:
    """Yield (patient, scan), not decoded yet; otherwise as `find_patients`."""
    if split is None:
        for planned in plan_training(folder, modality, on_error=on_error):
            yield planned.name, planned
        return
    for part in parts:
        for pattern in read_split(split, part):
            for planned in plan_training(folder, modality, patterns=[pattern], on_error=on_error):
                yield pattern, planned


def find_patients(
    folder: Path,
    modality: str,
    *,
    split: Path | None = None,
    parts: list[str],
    on_error: Callable[[ScanError], None] = lambda error: None,
) -> Iterator[tuple[str, Scan]]:
    """Yield (patient, scan): in a split each glob is a patient, without one each scan is.

    Parameters
    ----------
    folder, modality, on_error
        As for `find_scans`.
    split
        JSON file of part to globs.
    parts
        Which parts of the split.
    """
    for patient, planned in plan_patients(folder, modality, split=split, parts=parts, on_error=on_error):
        scan = planned.read()
        if scan is not None:
            yield patient, scan
        del scan  # or it would stay in memory while the next one is read


def read_split(path: Path, part: str) -> list[str]:
    """Read the globs of one part of a split file (JSON: part to list of globs).

    Raises
    ------
    TrainingError
        If the file can't be read or has no such part.
    """
    try:
        split = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: can't be read as a split ({error}). Give JSON of part to globs.") from error
    if not isinstance(split, dict) or part not in split:
        known = ", ".join(split) if isinstance(split, dict) else "none"
        raise TrainingError(f"{path}: has no part '{part}'. Its parts: {known}.")
    if not isinstance(split[part], list):
        raise TrainingError(f"{path}: its part '{part}' is no list of globs.")
    return [str(pattern) for pattern in split[part]]


def name_data(folder: Path, patterns: list[str] | None) -> str:
    """Name a choice of scans by a hash, which tells nobody where they lie."""
    return hashlib.sha256(json.dumps([str(folder.resolve()), patterns]).encode()).hexdigest()


def train_detector(
    scans: Iterator[Scan | PlannedScan],
    out: Path,
    options: TrainingOptions,
    *,
    on_scan: Callable[[str], None] = lambda name: None,
    report: Callable[[Progress], None] = lambda progress: None,
    on_left_out: Callable[[str], None] = lambda sentence: None,
) -> Weights:
    """Train a noise predictor on authentic scans and write it as weights.

    A run that was killed goes on from where it was, with the same ``out`` and options; its cache is not made again.

    Parameters
    ----------
    scans
        Authentic scans, decoded or still to be; consumed only if ``out`` has no cache yet.
    out
        Folder of the run: ``cache/``, ``state.safetensors``, ``loss.csv`` and at the end ``loss.png``, ``weights/``.
    options
        What to train.
    on_scan, report
        Called with the name of each scan that is in the cache, and after each step.
    on_left_out
        Told of each scan that is not learned from.

    Raises
    ------
    TrainingError
        If torch is not installed, there is no scan, or the loss stays not finite.
    """
    try:
        import torch
        from accelerate import PartialState

        from tamperscan.diffusion.export import export_weights
        from tamperscan.diffusion.train import LOSS_FILE, train
    except ImportError as error:
        raise TrainingError(
            f"training needs packages that are not installed ({error.name}). Run: pip install 'tamperscan[train]'."
        ) from error
    # While one process decodes an archive, the others wait for it, longer than they would by themselves.
    state = PartialState(cpu=not torch.cuda.is_available(), timeout=_LONGEST_DECODING)
    with state.main_process_first():
        cached = read_cache(out / CACHE_FOLDER, of=options.data)
        cached = cached or build_cache(scans, out / CACHE_FOLDER, on_scan, of=options.data, arrays=options.arrays)
        vetted = vet([(entry.name, entry) for entry in cached], out / CACHE_FOLDER, options.vetting, on_left_out)
    cached, shares = [entry for _, entry in vetted.scans], crop_shares(vetted.scans, options.vetting)
    preset = options.preset
    window = IntensityWindow(*preset.window) if preset.window else None
    augmentation = _augmentation(preset) | {"shares": shares}
    crops = CropSource(out / CACHE_FOLDER, cached, crop_px=preset.crop_px, window=window, **augmentation)
    run = train(
        preset,
        crops,
        out,
        seed=options.seed,
        steps=options.steps,
        bf16=options.bf16,
        loaders=options.loaders,
        report=report,
    )
    outcome = {"steps": run.step, "loss": round(run.loss, 5), "seconds": round(run.seconds), "processes": run.processes}
    card = _card(options, cached, outcome | {"vetting": vetted.facts})
    with state.main_process_first():  # of several processes only one writes
        if state.is_main_process:
            write_loss_curve(out / LOSS_FILE, out / LOSS_PICTURE)
            export_weights(run.network, card, out / WEIGHTS_FOLDER)
            write_review(out, out / WEIGHTS_FOLDER, cached)
    return open_weights(out / WEIGHTS_FOLDER)


def _augmentation(preset: TrainingPreset) -> dict[str, Any]:
    """Ours for our network; for the published one what its authors did, and no more."""
    if preset.network == "local":
        return {"turns": "all", "gain": _MR_GAIN}
    return {"turns": "mirror" if preset.flip else "none", "shift_hu": 0.0}


def _places(folder: Path, patterns: list[str] | None, on_error: Callable[[ScanError], None]) -> list[Path]:
    """List the files and folders that match; a folder stands for all below it."""
    if not folder.exists():
        raise ScanError(folder, "is not there", "Check the path")
    if patterns is None:
        return [folder]
    below = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    places: dict[Path, None] = {}
    for pattern in patterns:
        found = [path for name, path in below.items() if _matches(name, pattern)]
        if not found:
            on_error(ScanError(folder, f"holds nothing that matches '{pattern}'", "Check the pattern"))
        places |= dict.fromkeys(found)
    return sorted(places)


def _plan_if_any(place: Path, on_error: Callable[[ScanError], None]) -> Iterator[PlannedScan]:
    """Find what a place holds; one that holds nothing is told once and does not end a run over many."""
    told: list[ScanError] = []

    def tell(error: ScanError) -> None:
        told.append(error)
        on_error(error)

    try:
        yield from plan_scans(place, on_error=tell)
    except ScanError as error:
        if not told:
            on_error(error)


def _matches(name: str, pattern: str) -> bool:
    """Match a path below a folder, name by name: a star does not reach over a slash."""
    return name.count("/") == pattern.count("/") and fnmatch.fnmatchcase(name, pattern)


def _card(options: TrainingOptions, cached: list[CachedScan], outcome: dict[str, Any]) -> Card:
    preset = options.preset
    return Card(
        name=options.name,
        kind="low-noise" if preset.network == "local" else "published",
        modality=preset.modality,
        window=preset.window,
        crop_px=preset.crop_px,
        levels_hu=SCREENING_LEVELS_HU if preset.levels and preset.window else (),
        levels_of_range=SCREENING_LEVELS_OF_RANGE if preset.levels and not preset.window else (),
        schedule=preset.schedule,
        timesteps=preset.timesteps,
        licence=options.licence,
        training={
            "settings": preset.as_dict(),
            "seed": options.seed,
            **outcome,
            "scans": [{"name": entry.name, "slices": entry.slices, "sha256": entry.sha256} for entry in cached],
            "versions": {name: version(name) for name in ("tamperscan", "torch", "numpy")},
            "machine": platform.machine(),
        },
    )
