"""``tamperscan bench explain``: say why a detector tells tampered places from others."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import steps, tell_line
from tamperscan.cli.console import tell_error


def explain(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    split: options.SplitOption = options.SPLIT,
    out: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Folder for the figures; none are drawn if not given.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", dir_okay=False, help="Page whose sections are written, e.g. docs/explanation/why-it-works.md."
        ),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Say why a detector tells tampered places from others: attribution, spectra, noise levels.

    On every slice of ctgan/labels.csv and the authentic patients in the split's part "test"; takes some minutes.
    """
    from tamperscan.bench.document import plain, provenance, write_section
    from tamperscan.bench.explain.figures import write_figures
    from tamperscan.bench.explain.page import sections
    from tamperscan.bench.explain.run import run_explanation
    from tamperscan.bench.runs import Request

    with ExitStack() as bars:
        request = Request(
            data=data,
            detector=detector,
            split=split,
            step=steps(bars),
            on_error=tell_error,
        )
        result, compared = run_explanation(request)
    figures = write_figures(result, compared, out) if out else {}
    words = ["bench", "explain", *options.words_of(data, detector, None, split)]
    words += ["--out", out] if out else []
    origin = provenance(*words)
    parts = sections(result, origin, figures, write)
    if write is not None:
        for name, text in parts.items():
            write_section(write, name, text)
        tell_line(f"{len(parts)} sections are in {write}.")
    told = {"origin": plain(origin), "explain": plain(result), "figures": [str(path) for path in figures.values()]}
    print(json.dumps(told) if as_json else "\n\n".join(parts.values()))
