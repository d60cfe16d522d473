"""``tamperscan bench faults``: commands that are killed, or run out of room, memory or network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell, tell_line


def faults(
    out: options.NewOutOption,
    data: options.DataOption = options.DATA,
    only: Annotated[
        str | None, typer.Option("--only", metavar="A,B", help="Which commands; all that there are if not given.")
    ] = None,
    kills: Annotated[
        int, typer.Option("--kills", min=1, help="How often a command is killed; a costly one less often.")
    ] = 12,
    others: Annotated[int, typer.Option("--others", min=1, help="How often each other fault is tried.")] = 4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of moments, sizes and limits.")] = 1,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Disturb every command at random, and look at what it leaves, says, and makes of it when it is given again.

    Killed at random moments, a full disk (as root on a small file system in memory, else by the size of files), too
    little memory, no network, and a line to the archive that is cut.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.faults import run_faults
    from tamperscan.bench.faults_page import faults_page

    names = options.names(only)
    result = run_faults(
        names or None,
        data,
        out,
        kills=kills,
        others=others,
        seed=seed,
        tell=tell_line,
    )
    words: list[str | Path] = ["bench", "faults", "--out", out, "--data", data, "--kills", str(kills)]
    words += ["--others", str(others), "--seed", str(seed), *(["--only", ",".join(names)] if names else [])]
    origin = provenance(*words)
    tell("faults", result, origin, faults_page(result, origin), write=write, as_json=as_json)
