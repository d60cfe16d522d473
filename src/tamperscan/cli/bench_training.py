"""``tamperscan bench training``: how many crops a second training gets, and how many it could use."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar

_SERIES = "series/LIDC-IDRI-0001_*,series/Lung_Dx-A0001_L,series/LungFCP-*"


def training(
    data: options.DataOption = options.DATA,
    series: Annotated[
        str, typer.Option("--series", help="Globs of series below options.DATA/ct, with commas between them.")
    ] = _SERIES,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, help="How long each way is run.")] = 3.0,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often each way is run.")] = 3,
    loaders: Annotated[int, typer.Option("--loaders", min=1, help="Processes that draw ahead.")] = 1,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure how many crops a second training gets: out of files, out of the cache, and in the training step.

    Beside them the limit of this machine's matrix multiplication. Close what else keeps the machine busy.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.subjects import CT_FOLDER
    from tamperscan.bench.training_page import training_page
    from tamperscan.bench.training_speed import measure_training
    from tamperscan.detect.load import find_weights

    with TemporaryDirectory(prefix="tamperscan-") as folder, Bar("Training") as bar:
        result = measure_training(
            data / CT_FOLDER,
            find_weights("ct"),
            Path(folder),
            patterns=series.split(","),
            seconds=seconds,
            repeats=repeats,
            loaders=loaders,
            report=bar.update,
        )
    numbers = ["--seconds", f"{seconds:g}", "--repeats", str(repeats), "--loaders", str(loaders)]
    origin = provenance(
        "bench", "training", "--data", data, *(["--series", series] if series != _SERIES else []), *numbers
    )
    tell("training", result, origin, training_page(result, origin), write=write, as_json=as_json)
