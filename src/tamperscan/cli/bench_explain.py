"""``tamperscan bench explain``: say why a detector tells tampered places from others."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli.bench_compare import steps
from tamperscan.cli.bench_options import DATA, SPLIT, DataOption, DetectorOption, JsonOption, SplitOption
from tamperscan.cli.console import notices, tell_error


def explain(
    data: DataOption = DATA,
    detector: DetectorOption = "ct",
    split: SplitOption = SPLIT,
    out: Annotated[
        Path | None, typer.Option("--out", file_okay=False, help="Folder for the figures; none are drawn if not given.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            "--write", dir_okay=False, help="Page whose sections are written, e.g. docs/explanation/why-it-works.md."
        ),
    ] = None,
    as_json: JsonOption = False,
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
            on_error=lambda error: tell_error(str(error)),
        )
        result, compared = run_explanation(request)
    figures = write_figures(result, compared, out) if out else {}
    words: list[str | Path] = ["bench", "explain", "--data", data, "--detector", detector, "--split", split]
    words += ["--out", out] if out else []
    origin = provenance(*words)
    parts = sections(result, origin, figures, write)
    if write is not None:
        for name, text in parts.items():
            write_section(write, name, text)
        notices().print(f"{len(parts)} sections are in {write}.", soft_wrap=True)
    told = {"origin": plain(origin), "explain": plain(result), "figures": [str(path) for path in figures.values()]}
    print(json.dumps(told) if as_json else "\n\n".join(parts.values()))
