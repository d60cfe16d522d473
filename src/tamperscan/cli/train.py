"""``tamperscan train``: learn from authentic scans."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli import training_options as options
from tamperscan.cli.console import new_app, notices, tell_error, tell_note

if TYPE_CHECKING:
    from tamperscan.diffusion.train import Progress

app = new_app()

_TELL_EVERY_STEPS = 50


@app.command(epilog="Example: tamperscan train archive/chest-ct --out runs/our-scanner --name our-scanner")
def train(
    data: options.DataArgument,
    out: options.OutOption,
    preset: Annotated[
        str, typer.Option("--preset", help="low-noise-ct, low-noise-mr, or the published: paper-ct, paper-mri.")
    ] = "low-noise-ct",
    name: Annotated[str, typer.Option("--name", help="Name of the detector; the run's folder by default.")] = "",
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Optimiser steps.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of weights, crops and noise.")] = 0,
    bf16: Annotated[
        bool | None,
        typer.Option("--bf16/--no-bf16", help="Convolutions in bfloat16; by default where it is fast."),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option("--split", help="JSON file of part to globs below FOLDER, to keep patients apart."),
    ] = None,
    part: Annotated[str, typer.Option("--part", help="Part of the split to train on.")] = "train",
    cache: options.CacheOption = None,
    loaders: options.LoadersOption = None,
    keep_copies: options.KeepCopiesOption = False,
    leave_out: options.LeaveOutOption = None,
    most_of_a_scanner: options.MostOfAScannerOption = 0.6,
    most_of_a_patient: options.MostOfAPatientOption = 0.25,
    licence: Annotated[str, typer.Option("--licence", help="Licence and attribution, for the card.")] = "",
) -> None:
    """Train a noise predictor on authentic scans.

    Crops are cut on the fly from lungs and bodies. Scans that repeat the slices of others are left out and told. The
    state is saved every 45 seconds; the same command goes on from it. For several GPUs: accelerate launch -m tamperscan
    train ... At the end OUT/weights holds the network (ONNX and safetensors) and its card, and OUT/review.png shows the
    crops that it explains worst. Then run 'tamperscan calibrate' to make a detector of it.
    """
    from tamperscan.detect.review import REVIEW_FILE
    from tamperscan.detect.training import TrainingOptions, name_data, plan_training, read_split, train_detector
    from tamperscan.diffusion.presets import preset as find_preset

    settings = find_preset(preset)
    patterns = read_split(split, part) if split else None
    scans = plan_training(data, settings.modality, patterns=patterns, on_error=tell_error)
    vetting = options.vetting_of(keep_copies, leave_out, most_of_a_scanner, most_of_a_patient)
    planned = TrainingOptions(
        settings, name or out.name, steps, seed, bf16, loaders, licence, name_data(data, patterns), cache, vetting
    )
    with TrainingDisplay() as display:
        weights = train_detector(scans, out, planned, on_scan=display.scan, report=display.step, on_left_out=tell_note)
    print(f"Weights of {weights.card.name} are in {weights.folder} (SHA-256 {weights.sha256[:16]}).")
    options.tell_review(out / REVIEW_FILE if (out / REVIEW_FILE).exists() else None)


class TrainingDisplay:
    """A progress bar with loss and pace in a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._console = notices()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("Training", total=None, facts="")

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def scan(self, name: str) -> None:
        """Tell that a scan has been read."""
        self._bar.update(self._task, description=f"Reading {name}")

    def step(self, progress: Progress) -> None:
        """Tell where the training stands."""
        facts = f"loss {progress.loss:.4f}, {progress.crops_per_second:.0f} crops/s"
        self._bar.update(self._task, description="Training", completed=progress.step, total=progress.steps, facts=facts)
        last = progress.step == progress.steps
        if not self._console.is_terminal and (progress.step % (20 * _TELL_EVERY_STEPS) == 0 or last):
            left = progress.seconds_left / 60
            self._console.print(
                f"step {progress.step} of {progress.steps}, {facts}, {left:.0f} min left", soft_wrap=True
            )
