"""``tamperscan bench node``: a DICOM node that is killed, and one that many send to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell, tell_line


def node(
    out: options.NewOutOption,
    kills: Annotated[int, typer.Option("--kills", min=0, help="How often the node is killed.")] = 100,
    instances: Annotated[int, typer.Option("--instances", min=20, help="Images that arrive meanwhile.")] = 2000,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often the speed is measured.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the moments at which it is killed.")] = 1,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Kill a node at random moments while images arrive, and measure how many it takes a second beside storescp.

    Needs DCMTK's storescu and storescp.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.node import measure_node
    from tamperscan.bench.node_page import node_page

    result = measure_node(
        out,
        kills=kills,
        instances=instances,
        repeats=repeats,
        seed=seed,
        tell=tell_line,
    )
    words: list[str | Path] = ["bench", "node", "--out", out, "--kills", str(kills), "--instances", str(instances)]
    origin = provenance(*words, "--repeats", str(repeats), "--seed", str(seed))
    tell("node", result, origin, node_page(result, origin), write=write, as_json=as_json)
