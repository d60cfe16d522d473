"""``tamperscan bench poisoning``: forged slices among those that a detector learns from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import steps as steps_in
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar, tell_error
from tamperscan.errors import BenchError


def poisoning(
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder of measurements; an ended run goes on.")
    ],
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    split: options.SplitOption = options.SPLIT,
    draws: Annotated[int, typer.Option("--draws", min=1, help="How often other slices are chosen to be forged.")] = 5,
    networks: Annotated[
        bool, typer.Option("--networks", help="Hide forged crops among those that noise predictors are trained on.")
    ] = False,
    steps: Annotated[
        int, typer.Option("--steps", min=2, help="Optimiser steps of each training, with --networks.")
    ] = 600,
    threads: options.ThreadsOption = None,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Hide forged slices among those that typicality and calibration learn from, and see what is still found.

    With 0, 1, 5 and 10 % of the slices forged, with and without setting outlying patients aside. With --networks
    noise predictors are trained instead, with as many forged crops; --detector and --draws are not used then.
    """
    if networks:
        _networks(out, data, split, steps, threads, write, as_json)
    else:
        _slices(out, data, detector, split, draws, threads, write, as_json)


def _slices(
    out: Path,
    data: Path,
    detector: str,
    split: Path,
    draws: int,
    threads: int | None,
    write: Path | None,
    as_json: bool,
) -> None:
    from tamperscan.bench.document import provenance
    from tamperscan.bench.poisoning import study_poisoning
    from tamperscan.bench.poisoning_measuring import measure_slices
    from tamperscan.bench.poisoning_page import poisoning_page
    from tamperscan.detect.load import find_weights
    from tamperscan.forge.canaries import canary_methods

    weights = find_weights(detector)
    with Bar("Slices") as bar:
        found = measure_slices(
            weights,
            data,
            split,
            out,
            canary_methods(),
            threads=threads,
            on_error=tell_error,
            report=lambda done: bar.update(done, done + 1),
        )
    with Bar("Learning") as bar:
        result = study_poisoning(found, weights.sha256, draws=draws, report=bar.update)
    words = options.words_of(data, detector, None, split)
    origin = provenance("bench", "poisoning", "--out", out, *words, "--draws", str(draws))
    tell("poisoning", result, origin, poisoning_page(result, origin), write=write, as_json=as_json)


def _networks(
    out: Path, data: Path, split: Path, steps: int, threads: int | None, write: Path | None, as_json: bool
) -> None:
    from tamperscan.bench.document import provenance
    from tamperscan.forge.canaries import canary_methods

    try:
        import torch

        from tamperscan.bench.poisoning_networks import run_networks
        from tamperscan.bench.poisoning_networks_page import networks_page
    except ModuleNotFoundError as error:
        raise BenchError(
            f"Training needs {error.name}, which is not installed. Run: pip install 'tamperscan[bench,train]'."
        ) from error

    if threads:
        torch.set_num_threads(threads)
    with ExitStack() as bars:
        result = run_networks(
            data,
            split,
            out,
            canary_methods(),
            steps=steps,
            threads=threads,
            on_error=tell_error,
            report=_parts(bars),
        )
    words: list[str | Path] = ["--out", out, "--data", data, "--split", split, "--steps", str(steps)]
    origin = provenance("bench", "poisoning", "--networks", *words)
    tell("poisoning-networks", result, origin, networks_page(result, origin), write=write, as_json=as_json)


def _parts(bars: ExitStack) -> Callable[[str, int, int], None]:
    """Show a progress bar for each part of the work, one at a time."""
    begin = steps_in(bars)
    shown: dict[str, Callable[[int, int], None]] = {}

    def report(part: str, done: int, total: int) -> None:
        if part not in shown:
            shown[part] = begin(part)
        shown[part](done, total)

    return report
