"""``tamperscan bench predictors``: what makes a noise predictor better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar, tell_error


def predictors(
    data: options.DataOption = options.DATA,
    split: options.SplitOption = options.SPLIT,
    runs: Annotated[
        Path, typer.Option("--runs", file_okay=False, help="Folder of the study; an ended run goes on from it.")
    ] = Path("runs/study"),
    steps: Annotated[int, typer.Option("--steps", min=2, help="Optimiser steps of a full run.")] = 600,
    student: Annotated[
        int, typer.Option("--student", min=0, help="Optimiser steps of the one-pass student; 0 for none.")
    ] = 300,
    variants: Annotated[
        str, typer.Option("--variants", help="Which to train, separated by commas; all by default.")
    ] = "",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads; torch's choice by default.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", dir_okay=False, help="Page whose section 'predictors' is written.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Train small noise predictors that differ in one thing, and measure them on patients that none has seen.

    Widths, length of training and neighbouring slices; the packaged weights beside them; and a student that gives all
    noise levels in one pass, beside its teacher. What is trained already is not trained again.
    """
    import torch

    from tamperscan.bench.document import provenance
    from tamperscan.bench.predictor_page import predictors_page
    from tamperscan.bench.predictor_run import run_predictors
    from tamperscan.bench.predictor_study import VARIANTS

    if threads:
        torch.set_num_threads(threads)
    names = options.names(variants) or tuple(VARIANTS)
    with Bar("Predictors") as bar:
        result = run_predictors(
            data,
            split,
            runs,
            steps=steps,
            student_steps=student,
            names=names,
            on_error=tell_error,
            report=lambda name, step, of: bar.update(step, of),
        )
    words: list[str | Path] = ["bench", "predictors", "--data", data, "--split", split, "--runs", runs]
    words += ["--steps", str(steps), "--student", str(student)]
    words += ["--variants", ",".join(names)] if variants else []
    origin = provenance(*words)
    tell("predictors", result, origin, predictors_page(result, origin), write=write, as_json=as_json)
