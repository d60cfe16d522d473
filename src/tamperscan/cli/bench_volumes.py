"""``tamperscan bench volumes``: forged blocks of held-out volumes."""

from __future__ import annotations

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
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import notices, tell_error


def volumes(
    out: Annotated[
        Path, typer.Option("--out", "-o", file_okay=False, help="Folder of the run; an ended run goes on from there.")
    ],
    data: DataOption = DATA,
    detector: DetectorOption = "ct",
    head: HeadOption = None,
    split: SplitOption = SPLIT,
    methods: Annotated[
        str | None,
        typer.Option("--methods", metavar="A,B", help="Which forging methods; all that there are if not given."),
    ] = None,
    blocks: Annotated[
        int | None, typer.Option("--blocks", min=1, help="Blocks at most, from all series by turns; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of places and forgeries.")] = 0,
    threads: ThreadsOption = None,
    write: WriteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a detector on forged volumes, and on the slice through the tampering alone.

    Blocks of 40 mm of the volumes in the split's parts "test" and "calibrate", each forged by every method.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.volumes import VolumesRequest, run_volumes
    from tamperscan.bench.volumes_page import volumes_page

    chosen = tuple(filter(None, (name.strip() for name in (methods or "").split(",")))) or None
    with ExitStack() as bars:
        result = run_volumes(
            VolumesRequest(
                data=data,
                split=split,
                out=out,
                detector=detector,
                head=head,
                methods=chosen,
                blocks=blocks,
                seed=seed,
                threads=threads,
                step=steps(bars),
                tell=lambda line: notices().print(line, soft_wrap=True, highlight=False),
                on_error=lambda error: tell_error(str(error)),
            )
        )
    words: list[str | Path] = ["bench", "volumes", "--out", out, "--data", data, "--detector", detector]
    words += ["--split", split, "--seed", str(seed), *(["--head", head] if head else [])]
    words += ["--methods", ",".join(chosen)] if chosen else []
    words += ["--blocks", str(blocks)] if blocks else []
    origin = provenance(*words)
    tell("volumes", result, origin, volumes_page(result, origin, head), head=head, write=write, as_json=as_json)
