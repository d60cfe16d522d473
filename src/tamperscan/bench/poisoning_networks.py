"""Noise predictors that were trained on forgeries too: what a detector finds that is built on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tamperscan.bench.poisoning import SHARES
from tamperscan.bench.poisoning_crops import PoisonedCrops, forged_cache
from tamperscan.bench.poisoning_learning import Learned, LearningStudy, PoisonRow
from tamperscan.bench.poisoning_measuring import StudySlice, measure_by_each
from tamperscan.bench.predictor_study import STUDY
from tamperscan.bench.training_crops import crops_for, training_cache
from tamperscan.detect.crops import CachedScan
from tamperscan.detect.measuring import ScanMeasurer
from tamperscan.detect.training import SCREENING_LEVELS_HU, WEIGHTS_FOLDER
from tamperscan.diffusion.export import export_weights
from tamperscan.diffusion.presets import TrainingPreset
from tamperscan.diffusion.train import Progress, train
from tamperscan.diffusion.weights import CARD_FILE, Card, Weights, open_weights
from tamperscan.errors import ScanError
from tamperscan.forge.method import Method

STEPS: Final = 600
SEED: Final = 0
OTHER_SEED: Final = 1

NETWORKS_FOLDER: Final = "networks"
CACHE_FOLDER: Final = "cache"
FORGED_FOLDER: Final = "forged"
MEASURED_FOLDER: Final = "measured"


@dataclass(frozen=True)
class Training:
    """What tells one training from another.

    Attributes
    ----------
    share
        Of forged crops.
    seed
        Of weights, crops and noise.
    """

    share: float
    seed: int = SEED

    @property
    def name(self) -> str:
        """Name of its folder."""
        return f"forged-{100 * self.share:g}" + (f"-seed-{self.seed}" if self.seed != SEED else "")


TRAININGS: Final = (*(Training(share) for share in SHARES), Training(0.0, OTHER_SEED))
"""The last one has no forgery: how much it differs from the first is what chance does."""


@dataclass(frozen=True)
class NetworkRow:
    """What a detector finds whose noise predictor learned from so many forged crops.

    Attributes
    ----------
    training
        Which.
    weights_sha256
        Of the noise predictor.
    row
        What is found; its changes are against the first training.
    """

    training: Training
    weights_sha256: str
    row: PoisonRow


@dataclass(frozen=True)
class NetworksResult:
    """The study's outcome.

    Attributes
    ----------
    steps, batch, crop_px
        Of each training.
    trained_scans, forged_slices
        Scans that crops come from, and forged slices of these.
    patients, slices, held_out_patients, held_out, targets
        As in `tamperscan.bench.poisoning.PoisoningResult`.
    rows
        One for each training.
    """

    steps: int
    batch: int
    crop_px: int
    trained_scans: int
    forged_slices: int
    patients: int
    slices: int
    held_out_patients: int
    held_out: int
    targets: Mapping[str, int]
    rows: tuple[NetworkRow, ...]


def run_networks(
    data: Path,
    split: Path,
    out: Path,
    methods: Sequence[Method],
    *,
    steps: int = STEPS,
    preset: TrainingPreset = STUDY,
    threads: int | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[str, int, int], None] = lambda name, done, total: None,
) -> NetworksResult:
    """Train noise predictors with and without forged crops, and look for tampered slices with each.

    Typicality and its calibration are learned from authentic slices alone.

    Parameters
    ----------
    data
        Folder with ``ct/`` and ``ctgan/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    out
        Folder of the run; an ended run goes on from it.
    methods
        Forging methods.
    steps
        Optimiser steps of each training.
    preset
        Network and settings.
    threads
        CPU threads that slices are measured with; None for all.
    on_error
        Called with what can't be read.
    report
        Called with (what is done, how much, of how much).

    Raises
    ------
    BenchError
        If there are too few slices.
    """
    folder = out / NETWORKS_FOLDER
    authentic = training_cache(data, split, folder / CACHE_FOLDER, on_error)
    forged = forged_cache(
        data,
        split,
        folder / FORGED_FOLDER,
        methods,
        on_error=on_error,
        report=lambda done: report("Forging", done, done + 1),
    )
    weights = _train_all(folder, authentic, forged, steps, preset, report)
    measurers = [ScanMeasurer(each, folder / MEASURED_FOLDER, threads=threads) for each in weights]
    found = measure_by_each(
        measurers,
        data,
        split,
        methods,
        forge_learned=False,
        on_error=on_error,
        report=lambda done: report("Slices", done, done + 1),
    )
    study = LearningStudy(found[0])
    return NetworksResult(
        steps=steps,
        batch=preset.batch,
        crop_px=preset.crop_px,
        trained_scans=len(authentic),
        forged_slices=len(forged),
        patients=len({each.patient for each in study.learned}),
        slices=len(study.learned),
        held_out_patients=len({each.patient for each in study.held_out}),
        held_out=len(study.held_out),
        targets={target.name: len(target.slices) for target in study.targets},
        rows=tuple(_rows(found, weights, steps * preset.batch, report)),
    )


def _train_all(
    folder: Path,
    authentic: list[CachedScan],
    forged: list[CachedScan],
    steps: int,
    preset: TrainingPreset,
    report: Callable[[str, int, int], None],
) -> list[Weights]:
    sources = crops_for(preset, folder / CACHE_FOLDER, authentic), crops_for(preset, folder / FORGED_FOLDER, forged)
    return [
        _train(training, PoisonedCrops(*sources, training.share), folder, steps, preset, report)
        for training in TRAININGS
    ]


def _train(
    training: Training,
    crops: PoisonedCrops,
    folder: Path,
    steps: int,
    preset: TrainingPreset,
    report: Callable[[str, int, int], None],
) -> Weights:
    """Train in a folder of its own; an ended training goes on, a finished one is only read."""
    place = folder / f"{training.name}-steps-{steps}"
    weights = place / WEIGHTS_FOLDER
    if (weights / CARD_FILE).exists():
        return open_weights(weights)

    def progress(now: Progress) -> None:
        report(f"Training, {100 * training.share:g} % forged, seed {training.seed}", now.step, now.steps)

    run = train(preset, crops, place, seed=training.seed, steps=steps, report=progress)
    return export_weights(run.network, _card(training, steps, preset), weights, safetensors=False)


def _card(training: Training, steps: int, preset: TrainingPreset) -> Card:
    return Card(
        name=training.name,
        kind="low-noise",
        modality=preset.modality,
        window=preset.window,
        crop_px=preset.crop_px,
        levels_hu=SCREENING_LEVELS_HU,
        training={
            "settings": preset.as_dict(),
            "seed": training.seed,
            "steps": steps,
            "share_of_forged_crops": training.share,
        },
    )


def _rows(
    found: Sequence[Sequence[StudySlice]],
    weights: Sequence[Weights],
    crops: int,
    report: Callable[[str, int, int], None],
) -> Iterator[NetworkRow]:
    clean: Learned | None = None
    for number, (training, slices, its) in enumerate(zip(TRAININGS, found, weights, strict=True), start=1):
        study = LearningStudy(slices)
        learned = study.learn(0, 0)[False]
        clean = clean or learned
        row = study.row(training.share, round(training.share * crops), False, [learned], [clean])
        report("Learning", number, len(TRAININGS))
        yield NetworkRow(training, its.sha256, row)
