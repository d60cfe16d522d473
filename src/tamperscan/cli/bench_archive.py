"""``tamperscan bench archive``: runs over archives, timed, watched for memory, and killed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell, tell_line


def archive(
    out: options.NewOutOption,
    data: options.DataOption = options.DATA,
    repeats: Annotated[int, typer.Option("--repeats", min=0, help="Rounds of one and two workers; 0 for none.")] = 3,
    series: Annotated[
        int, typer.Option("--series", min=0, help="Series of the smaller archive; 0 to leave memory out.")
    ] = 24,
    kills: Annotated[int, typer.Option("--kills", min=0, help="How often a run is killed.")] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the moments at which it is killed.")] = 1,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Screen archives with one worker and with two, look at their memory, and kill their runs at random moments."""
    from tamperscan.bench.archive import measure_archive
    from tamperscan.bench.archive_page import archive_page
    from tamperscan.bench.document import provenance

    result = measure_archive(
        data,
        out,
        repeats=repeats,
        series=series,
        kills=kills,
        seed=seed,
        tell=tell_line,
    )
    words: list[str | Path] = ["bench", "archive", "--out", out, "--data", data, "--repeats", str(repeats)]
    origin = provenance(*words, "--series", str(series), "--kills", str(kills), "--seed", str(seed))
    tell("archive", result, origin, archive_page(result, origin), write=write, as_json=as_json)
