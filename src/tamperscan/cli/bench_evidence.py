"""``tamperscan bench evidence``: which windows, statistics and distances find what."""

from __future__ import annotations

from pathlib import Path

from tamperscan.cli.bench_options import (
    DATA,
    SPLIT,
    DataOption,
    DetectorOption,
    JsonOption,
    SplitOption,
    ThreadsOption,
    WriteOption,
)
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar, tell_error


def evidence(
    data: DataOption = DATA,
    detector: DetectorOption = "ct",
    split: SplitOption = SPLIT,
    threads: ThreadsOption = None,
    write: WriteOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare ways from predicted noise to evidence, for the head 'typicality'.

    Windows of five sizes, scan statistics over them, the trace of the predictor's Jacobian, and other distances.
    """
    from tamperscan.bench.document import provenance
    from tamperscan.bench.evidence_page import evidence_page
    from tamperscan.bench.evidence_run import run_evidence
    from tamperscan.detect.load import find_weights

    weights = find_weights(detector)
    with Bar("Slices") as bar:
        result = run_evidence(
            weights,
            data,
            split,
            threads=threads,
            on_error=lambda error: tell_error(str(error)),
            report=lambda done: bar.update(done, done + 1),
        )
    words: list[str | Path] = ["bench", "evidence", "--data", data, "--detector", detector, "--split", split]
    origin = provenance(*words)
    tell("evidence", result, origin, evidence_page(result, origin), write=write, as_json=as_json)
