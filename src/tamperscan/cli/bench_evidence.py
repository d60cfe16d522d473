"""``tamperscan bench evidence``: which windows, statistics and distances find what."""

from __future__ import annotations

from tamperscan.cli import bench_options as options
from tamperscan.cli.bench_telling import tell
from tamperscan.cli.console import Bar, tell_error


def evidence(
    data: options.DataOption = options.DATA,
    detector: options.DetectorOption = "ct",
    split: options.SplitOption = options.SPLIT,
    threads: options.ThreadsOption = None,
    write: options.WriteOption = None,
    as_json: options.JsonOption = False,
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
            on_error=tell_error,
            report=lambda done: bar.update(done, done + 1),
        )
    origin = provenance("bench", "evidence", *options.words_of(data, detector, None, split))
    tell("evidence", result, origin, evidence_page(result, origin), write=write, as_json=as_json)
