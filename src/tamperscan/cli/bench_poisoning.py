"""``tamperscan bench poisoning``: forged slices among those that a detector learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar, tell_error


def poisoning(
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder of measurements; an ended run goes on.")
    ],
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    split: options.SplitOption = options.SPLIT,
    draws: Annotated[int, typer.Option("--draws", min=1, help="How often other slices are chosen to be forged.")] = 5,
    threads: options.ThreadsOption = None,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Hide forged slices among those that typicality and calibration learn from, and see what is still found.

    With 0, 1, 5 and 10 % of the slices forged, with and without setting outlying patients aside.
    """
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
