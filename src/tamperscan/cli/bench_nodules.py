"""``tamperscan bench nodules``: fake nodules against real ones, with the place told."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import steps, tell
from tamperscan.cli.console import tell_error

MARKS = Path("training/ct-nodules.json")
OUT = Path("runs/bench-nodules")


def nodules(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    head: options.HeadOption = None,
    split: options.SplitOption = options.SPLIT,
    marks: Annotated[
        Path, typer.Option("--nodules", dir_okay=False, help="JSON file of nodules that readers have not marked.")
    ] = MARKS,
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder that remembers scores; an ended run goes on.")
    ] = OUT,
    threads: options.ThreadsOption = None,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure a detector that is told the place, as in the paper: fake nodules against real ones.

    Injections of ctgan/labels.csv against real nodules, removals against healthy lung; beside the published score.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.nodules import NoduleRequest, run_nodules
    from tamperscan.bench.nodules_page import nodules_page

    with ExitStack() as bars:
        result = run_nodules(
            NoduleRequest(
                data=data,
                split=split,
                marks=marks,
                out=out,
                detector=detector,
                head=head,
                threads=threads,
                step=steps(bars),
                on_error=tell_error,
            )
        )
    origin = provenance("bench", "nodules", *options.words_of(data, detector, head, split), "--nodules", marks)
    tell("nodules", result, origin, nodules_page(result, origin, head), head=head, write=write, as_json=as_json)
