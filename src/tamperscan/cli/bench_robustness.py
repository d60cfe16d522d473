"""``tamperscan bench --robustness``: what laundering does to a detector."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import steps, tell, tell_line
from tamperscan.cli.console import tell_error
from tamperscan.errors import BenchError

SECTION = "laundering"


def robustness(
    out: options.OutOption,
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    head: options.HeadOption = None,
    split: options.SplitOption = options.SPLIT,
    treatments: Annotated[
        str | None, typer.Option("--treatments", metavar="A,B", help="Which treatments; all if not given.")
    ] = None,
    most: Annotated[
        int | None, typer.Option("--most", min=1, help="Slices of each scan or patient at most; all if not given.")
    ] = None,
    attacked: Annotated[
        int, typer.Option("--attacked", min=0, help="Tampered slices, and as many authentic ones, to attack.")
    ] = 8,
    blocks: Annotated[int, typer.Option("--blocks", min=0, help="Blocks of volumes to average slices of.")] = 8,
    threads: options.ThreadsOption = None,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Launder tampered and authentic scans in the same ways, and measure a detector on them.

    Rounding, compression, resampling, filters, noise, regeneration by diffusion, and an attacker who has the weights.
    Real CT-GAN slices against authentic slices of the patients in the split's part "test". An ended run goes on.
    """
    from tamperscan.bench.document import provenance

    try:
        import onnx  # noqa: F401  # the attack reads the head with it, after everything else

        from tamperscan.bench.robustness.page import robustness_page
        from tamperscan.bench.robustness.run import RobustnessRequest, run_robustness
    except ModuleNotFoundError as error:
        raise BenchError(
            f"Laundering needs {error.name}, which is not installed. Run: pip install 'tamperscan[bench,train]'."
        ) from error

    chosen = options.names(treatments)
    with ExitStack() as bars:
        result = run_robustness(
            RobustnessRequest(
                data=data,
                split=split,
                out=out,
                detector=detector,
                head=head,
                treatments=chosen or None,
                most=most,
                attacked=attacked,
                blocks=blocks,
                threads=threads,
                step=steps(bars),
                tell=tell_line,
                on_error=tell_error,
            )
        )
    words = ["bench", "--robustness", "--out", out, *options.words_of(data, detector, head, split)]
    words += ["--treatments", ",".join(chosen)] if chosen else []
    words += ["--most", str(most)] if most else []
    words += ["--attacked", str(attacked), "--blocks", str(blocks)]
    origin = provenance(*words)
    tell(SECTION, result, origin, robustness_page(result, origin), head=head, write=write, as_json=as_json)
