"""``tamperscan bench mr``: forge one patient's MR, and say how well it is found with that patient left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from tamperscan.cli.console import Bar, notices


def mr(
    left_out: Annotated[
        Path,
        typer.Option("--left-out", file_okay=False, help="Weights of a predictor trained without the patient."),
    ],
    data: Annotated[
        Path, typer.Option("--data", file_okay=False, help="Folder of real scans, with mr/series/ in it.")
    ] = Path("../shared/data"),
    patient: Annotated[
        str, typer.Option("--patient", help="Whose scans are forged: the beginning of their names.")
    ] = "UCSF-BR-06",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Places of each kind in each series.")] = 7,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads; all cores if not given.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", dir_okay=False, help="Page whose section 'mr' is written.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, and nothing else.")] = False,
) -> None:
    """Measure detectors on forged MR of a patient that was left out of training.

    Copies, drawn nodules and smooth in-painting; beside ours the published score with the same predictor, the plain
    local variance, and the packaged detector, which has seen the patient.
    """
    from tamperscan.bench.document import plain, provenance, write_section
    from tamperscan.bench.mr_page import mr_page
    from tamperscan.bench.mr_run import run_mr

    with Bar("Forged MR") as bar:
        result = run_mr(data, left_out, patient, seeds, threads=threads, progress=bar.update)
    origin = provenance(
        "bench", "mr", "--data", data, "--left-out", left_out, "--patient", patient, "--seeds", str(seeds)
    )
    page = mr_page(result, origin)
    if write is not None:
        write_section(write, "mr", page)
        notices().print(f"The section 'mr' is in {write}.", soft_wrap=True)
    print(json.dumps({"origin": plain(origin), "mr": plain(result)}) if as_json else page)
