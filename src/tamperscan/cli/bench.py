"""``tamperscan bench``: measure detectors, and write the results page."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_archive import archive
from tamperscan.cli.bench_compare import EPILOG, compare
from tamperscan.cli.bench_evidence import evidence
from tamperscan.cli.bench_explain import explain
from tamperscan.cli.bench_faults import faults
from tamperscan.cli.bench_gpu import gpu
from tamperscan.cli.bench_mr import mr
from tamperscan.cli.bench_node import node
from tamperscan.cli.bench_nodules import nodules
from tamperscan.cli.bench_poisoning import poisoning
from tamperscan.cli.bench_predictors import predictors
from tamperscan.cli.bench_robustness import robustness
from tamperscan.cli.bench_telling import steps, tell
from tamperscan.cli.bench_training import training
from tamperscan.cli.bench_volumes import volumes
from tamperscan.cli.console import Bar, new_app, tell_error
from tamperscan.cli.default_group import default_group

if TYPE_CHECKING:
    from tamperscan.bench.runs import Request

app = new_app(cls=default_group("compare", {"--robustness": "robustness"}), no_args_is_help=True)


@app.callback(epilog=EPILOG)
def bench() -> None:
    """Measure every detector on the same tampered scans; or one on what a sub-command names.

    Says what it will do and how long it may take, then does it. An ended run goes on from where it was.
    With --robustness it does what the command robustness does.
    """


app.command("archive", epilog="Example: tamperscan bench archive --out runs/bench-archive")(archive)
app.command("compare", hidden=True, epilog=EPILOG)(compare)
app.command("explain", epilog="Example: tamperscan bench explain --data ../shared/data --out runs/explain")(explain)
app.command("nodules", epilog="Example: tamperscan bench nodules --write docs/results.md")(nodules)
app.command("faults", epilog="Example: tamperscan bench faults --out runs/bench-faults")(faults)
app.command("gpu", epilog="Example: tamperscan bench gpu --write docs/results.md")(gpu)
app.command("node", epilog="Example: tamperscan bench node --out runs/bench-node")(node)
app.command("volumes", epilog="Example: tamperscan bench volumes --out runs/bench-volumes")(volumes)
app.command("evidence", epilog="Example: tamperscan bench evidence --write docs/results.md")(evidence)
app.command("poisoning", epilog="Example: tamperscan bench poisoning --out runs/bench-poisoning")(poisoning)
app.command("predictors", epilog="Example: tamperscan bench predictors --write docs/results.md")(predictors)
app.command("training", epilog="Example: tamperscan bench training --write docs/results.md")(training)
app.command("robustness", epilog="Example: tamperscan bench --robustness --out runs/robustness --most 3")(robustness)
app.command("mr", epilog="Example: tamperscan bench mr --left-out runs/mr-first/weights --write docs/results.md")(mr)


@app.command(epilog="Example: tamperscan bench ctgan --data ../shared/data --write docs/results.md")
def ctgan(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    reference: Annotated[
        str | None,
        typer.Option("--reference", help="Weights for the published score; the detector's own if not given."),
    ] = None,
    head: options.HeadOption = None,
    split: options.SplitOption = options.SPLIT,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure a detector on real scans that were tampered with by CT-GAN.

    Every slice of ctgan/labels.csv against authentic slices of the patients in the split's part "test".
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.pages import ctgan_page
    from tamperscan.bench.runs import run_ctgan

    words: list[str | Path] = ["bench", "ctgan", *options.words_of(data, detector, head, split)]
    words += ["--reference", reference] if reference else []
    with ExitStack() as bars:
        result = run_ctgan(_request(bars, data, detector, head, split, reference))
    origin = provenance(*words)
    tell("ctgan", result, origin, ctgan_page(result, origin, head), head=head, write=write, as_json=as_json)


@app.command(epilog="Example: tamperscan bench precision --data ../shared/data --write docs/results.md")
def precision(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    head: options.HeadOption = None,
    split: options.SplitOption = options.SPLIT,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure what bfloat16 costs, where it is used: the same slices in float32 and in what is quickest here."""
    from tamperscan.bench.document import provenance
    from tamperscan.bench.precision import precision_page, run_precision

    with ExitStack() as bars:
        result = run_precision(_request(bars, data, detector, head, split))
    origin = provenance("bench", "precision", *options.words_of(data, detector, head, split))
    tell("precision", result, origin, precision_page(result, origin), write=write, as_json=as_json)


@app.command(epilog="Example: tamperscan bench authentic --data ../shared/data --write docs/results.md")
def authentic(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    head: options.HeadOption = None,
    split: options.SplitOption = options.SPLIT,
    seen: Annotated[
        bool, typer.Option(help="Compare patients that were trained on with others; takes some minutes.")
    ] = True,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Count a detector's false alarms on whole authentic scans of the split's part "test"."""
    from tamperscan.bench.document import provenance
    from tamperscan.bench.pages import authentic_page
    from tamperscan.bench.runs import run_authentic

    words: list[str | Path] = ["bench", "authentic", *options.words_of(data, detector, head, split)]
    words += [] if seen else ["--no-seen"]
    with ExitStack() as bars:
        result = run_authentic(_request(bars, data, detector, head, split), seen=seen)
    origin = provenance(*words)
    tell("authentic", result, origin, authentic_page(result, origin, head), head=head, write=write, as_json=as_json)


@app.command(epilog="Example: tamperscan bench speed --data ../shared/data --write docs/results.md")
def speed(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    slices: Annotated[int, typer.Option("--slices", min=1, help="Slices that the published network is run on.")] = 5,
    repeats: Annotated[int, typer.Option("--repeats", min=1, help="How often everything is run.")] = 3,
    threads: options.ThreadsOption = None,
    long_scan: Annotated[
        int, typer.Option("--long-scan", min=1, help="Slices of the scan, a real one repeated.")
    ] = 300,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure speed stage by stage, beside the published network and the machine's limits, and memory.

    On slices of a real scan in ct/, or of a phantom where there is none. Close what else keeps the machine busy.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.speed import measure_speed
    from tamperscan.bench.speed_page import speed_page

    with Bar("Speed") as bar:
        result = measure_speed(
            data,
            detector,
            slices=slices,
            repeats=repeats,
            threads=threads,
            long_scan=long_scan,
            report=bar.update,
        )
    numbers = ["--slices", str(slices), "--repeats", str(repeats), "--threads", str(result.threads)]
    numbers += ["--long-scan", str(long_scan)]
    origin = provenance("bench", "speed", "--data", data, "--detector", detector, *numbers)
    tell("speed", result, origin, speed_page(result, origin), write=write, as_json=as_json)


def _request(
    bars: ExitStack, data: Path, detector: str, head: str | None, split: Path, reference: str | None = None
) -> Request:
    from tamperscan.bench.runs import Request

    return Request(
        data=data,
        detector=detector,
        split=split,
        reference=reference,
        head=head,
        step=steps(bars),
        on_error=tell_error,
    )
