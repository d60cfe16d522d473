"""The section of the results page on how fast training is fed."""

from __future__ import annotations

import math

from tamperscan.bench.document import Provenance
from tamperscan.bench.tables import number, paragraph, table
from tamperscan.bench.training_speed import H200_FLOPS, H200_SHARE, Pace, TrainingSpeed


def training_page(result: TrainingSpeed, origin: Provenance) -> str:
    """Tell crops a second beside the matrix limit, and what an H200 would need."""
    rows = [_row(pace, result) for pace in result.paces.values()]
    limits = [
        (f"matrix limit of a core in {name}", f"{flops / result.flops_per_crop:,.0f}", "", "")
        for name, flops in result.matrix_flops.items()
    ]
    return "\n\n".join(
        (
            "## Training: crops a second",
            _head(result, origin),
            table(("what", "crops a second", "least and most", "of the limit"), [*rows, *limits]),
            _ratios(result),
            _gpu(result),
        )
    )


def _head(result: TrainingSpeed, origin: Provenance) -> str:
    flops = ", ".join(f"{value / 1e9:,.0f} GFLOP/s in {name}" for name, value in result.matrix_flops.items())
    return paragraph(
        origin.markdown(),
        f"{result.scans} series, {result.slices} slices, cached once as {result.megabytes:,.0f} MB of memory-mapped"
        f" int16 in {result.build_seconds:.0f} s. Preset low-noise-ct: a step on a crop takes"
        f" {result.flops_per_crop / 1e9:.2f} GFLOP, forward and backward, and is run in {result.number_format} here.",
        f"The floor is what matrix multiplication does on one core: {flops}. {result.processor}, {result.cores} cores,",
        "one thread. Seconds are processor time, which what else the machine does changes little. All ways by turns in",
        "one run; medians. DICOM files are single slices, from the system's cache of files, decoded by pydicom in the",
        "same process; a crop each.",
    )


def _row(pace: Pace, result: TrainingSpeed) -> tuple[str, ...]:
    share = pace.crops_per_second / result.limit
    spread = f"{min(pace.repeats):,.0f} to {max(pace.repeats):,.0f}"
    return pace.name, f"{pace.crops_per_second:,.0f}", spread, f"{share:.2f}"


def _ratios(result: TrainingSpeed) -> str:
    files, cache, ahead, step, both = (
        result.paces[key].crops_per_second for key in ("files", "cache", "ahead", "step", "training")
    )
    return paragraph(
        f"The cache gives {number(cache / files, 0)} times as many crops a second as decoding files each time, and",
        f"{number(cache / step, 0)} times what the training step uses here; drawing crops and noise as it goes",
        f"costs the step {number(100 * (1 - both / step), 1)} %. Drawn ahead by another process, a crop costs the",
        f"training process {number(cache / ahead, 2)} times what drawing it costs.",
        f"The step reaches {number(step / result.limit, 2)} of the core's matrix limit.",
    )


def _gpu(result: TrainingSpeed) -> str:
    a_core = result.paces["cache"].crops_per_second
    cores = math.ceil(result.needed / a_core)
    return paragraph(
        f"An H200 has {H200_FLOPS / 1e12:,.0f} TFLOP/s in bfloat16 (its maker's data sheet, without sparsity). At",
        f"{H200_SHARE:.0%} of that it would use {result.needed:,.0f} crops a second. The cache gives {a_core:,.0f} a",
        f"core, so that {cores} cores like these would draw as many; beside 16 cores the GPU would reach"
        f" {16 * a_core / result.needed * H200_SHARE:.0%} of its limit. This is worked out, not measured.",
    )
