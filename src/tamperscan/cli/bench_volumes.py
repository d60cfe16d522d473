"""``tamperscan bench volumes``: forged blocks of held-out volumes."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import steps, tell, tell_line
from tamperscan.cli.console import tell_error


def volumes(
    out: options.OutOption,
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    head: options.HeadOption = None,
    split: options.SplitOption = options.SPLIT,
    methods: Annotated[
        str | None,
        typer.Option("--methods", metavar="A,B", help="Which forging methods; all that there are if not given."),
    ] = None,
    blocks: Annotated[
        int | None, typer.Option("--blocks", min=1, help="Blocks at most, from all series by turns; all if not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of places and forgeries.")] = 0,
    threads: options.ThreadsOption = None,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure a detector on forged volumes, and on the slice through the tampering alone.

    Blocks of 40 mm of the volumes in the split's parts "test" and "calibrate", each forged by every method.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.volumes import VolumesRequest, run_volumes
    from tamperscan.bench.volumes_page import volumes_page

    chosen = options.names(methods)
    with ExitStack() as bars:
        result = run_volumes(
            VolumesRequest(
                data=data,
                split=split,
                out=out,
                detector=detector,
                head=head,
                methods=chosen or None,
                blocks=blocks,
                seed=seed,
                threads=threads,
                step=steps(bars),
                tell=tell_line,
                on_error=tell_error,
            )
        )
    words = ["bench", "volumes", "--out", out, *options.words_of(data, detector, head, split), "--seed", str(seed)]
    words += ["--methods", ",".join(chosen)] if chosen else []
    words += ["--blocks", str(blocks)] if blocks else []
    origin = provenance(*words)
    tell("volumes", result, origin, volumes_page(result, origin, head), head=head, write=write, as_json=as_json)
