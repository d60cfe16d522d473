"""``tamperscan bench gpu``: how fast screening is on a GPU, and how far from what the GPU could do."""

from __future__ import annotations

from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar


def gpu(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often the series is screened.")] = 3,
    threads: options.ThreadsOption = None,
    long_scan: Annotated[
        int, typer.Option("--long-scan", min=1, help="Slices of the series, a real one repeated.")
    ] = 300,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure slices a second on a GPU, its networks beside its limits, and how long it waits.

    On slices of a real scan in ct/, or of a phantom where there is none. Without a GPU it ends with an error.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.diffusion.gpu import torch_has_gpu
    from tamperscan.errors import BenchError

    if not torch_has_gpu():
        raise BenchError("There is no GPU that torch can use. Nothing was measured.")
    from tamperscan.bench.gpu import measure_gpu
    from tamperscan.bench.gpu_page import gpu_page

    with Bar("GPU") as bar:
        result = measure_gpu(data, detector, repeats=repeats, threads=threads, long_scan=long_scan, report=bar.update)
    numbers = ["--repeats", str(repeats), "--threads", str(result.threads), "--long-scan", str(long_scan)]
    origin = provenance("bench", "gpu", "--data", data, "--detector", detector, *numbers)
    tell("gpu", result, origin, gpu_page(result, origin), write=write, as_json=as_json)
