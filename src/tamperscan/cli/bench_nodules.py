"""``tamperscan bench nodules``: fake nodules against real ones, with the place told."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli.bench_compare import steps
from tamperscan.cli.bench_options import (
    DATA,
    SPLIT,
    DataOption,
    DetectorOption,
    HeadOption,
    JsonOption,
    SplitOption,
    ThreadsOption,
    WriteOption,
)
from tamperscan.cli.console import notices, tell_error

MARKS = Path("training/ct-nodules.json")
OUT = Path("runs/bench-nodules")


def nodules(
    data: DataOption = DATA,
    detector: DetectorOption = "ct",
    head: HeadOption = None,
    split: SplitOption = SPLIT,
    marks: Annotated[
        Path, typer.Option("--nodules", dir_okay=False, help="JSON file of nodules that readers have not marked.")
    ] = MARKS,
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder that remembers scores; an ended run goes on.")
    ] = OUT,
    threads: ThreadsOption = None,
    write: WriteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a detector that is told the place, as in the paper: fake nodules against real ones.

    Injections of ctgan/labels.csv against real nodules, removals against healthy lung; beside the published score.
    """
    from tamperscan.bench.document import plain, provenance, write_section
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
                on_error=lambda error: tell_error(str(error)),
            )
        )
    words: list[str | Path] = ["bench", "nodules", "--data", data, "--detector", detector, "--split", split]
    words += ["--nodules", marks, *(["--head", head] if head else [])]
    origin = provenance(*words)
    page = nodules_page(result, origin)
    if write is not None:
        write_section(write, "nodules", page)
        notices().print(f"The section 'nodules' is in {write}.", soft_wrap=True)
    print(json.dumps({"origin": plain(origin), "nodules": plain(result)}) if as_json else page)
