"""``tamperscan bench mr``: forge MR, and say how well it is found by what has not seen the patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar


def mr(
    left_out: Annotated[
        Path | None,
        typer.Option("--left-out", file_okay=False, help="Weights of a predictor trained without the patient."),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option("--heads", file_okay=False, help="An MR detector whose heads are compared instead, on everybody."),
    ] = None,
    data: Annotated[
        Path, typer.Option("--data", file_okay=False, help="Folder of real scans, with mr/series/ in it.")
    ] = Path("../shared/data"),
    patient: Annotated[
        str, typer.Option("--patient", help="Whose scans are forged: the beginning of their names.")
    ] = "UCSF-BR-06",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Places of each kind in each series.")] = 7,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads; all cores if not given.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", dir_okay=False, help="Page whose section 'mr' or 'mr-heads' is written.")
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure detectors on forged MR of a patient that was left out of training.

    Copies, drawn nodules and smooth in-painting; beside ours the published score with the same predictor, the plain
    local variance, and the packaged detector, which has seen the patient. With --heads each patient of a detector
    is judged by the member of its self-forged head that holds the patient out.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.mr_page import mr_heads_page, mr_page
    from tamperscan.bench.mr_run import run_mr, run_mr_heads
    from tamperscan.errors import BenchError

    if (left_out is None) == (heads is None):
        raise BenchError("one of --left-out and --heads is needed, each with a folder of weights.")
    asked: tuple[str | Path, ...] = ("bench", "mr", "--data", data, "--seeds", str(seeds))
    with Bar("Forged MR") as bar:
        if heads is not None:
            by_head = run_mr_heads(data, heads, seeds, threads=threads, progress=bar.update)
            origin = provenance(*asked, "--heads", heads)
            told: tuple[str, Any, str] = "mr-heads", by_head, mr_heads_page(by_head, origin)
        elif left_out is not None:
            of_one = run_mr(data, left_out, patient, seeds, threads=threads, progress=bar.update)
            origin = provenance(*asked, "--left-out", left_out, "--patient", patient)
            told = "mr", of_one, mr_page(of_one, origin)
    name, result, page = told
    tell(name, result, origin, page, write=write, as_json=as_json)
