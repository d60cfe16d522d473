"""The section of the results page on speed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tamperscan.bench.document import Provenance
from tamperscan.bench.memory import CommandRun
from tamperscan.bench.speed import SpeedResult
from tamperscan.bench.speed_subject import subject_words
from tamperscan.bench.tables import number, paragraph, table
from tamperscan.bench.timing import Timing
from tamperscan.detect.ahead import slices_at_a_time

_DASH = "–"


def speed_page(result: SpeedResult, origin: Provenance) -> str:
    """Tell speed, memory and limits."""
    sections = ["## Speed", _head(result, origin), _table(result), _words(result), _limits(result)]
    sections += [f"Not measured. {reason}" for reason in result.missing]
    return "\n\n".join(section for section in sections if section)


def _head(result: SpeedResult, origin: Provenance) -> str:
    repeats = len(next(iter(result.timings.values())).repeats)
    return paragraph(
        origin.markdown(),
        *subject_words(result),
        f"Load average before and after: {number(result.load[0], 1)} and {number(result.load[1], 1)} (the run itself",
        f"makes about {result.threads}); medians of {repeats} repeats, the least and the most in brackets.",
    )


def _table(result: SpeedResult) -> str:
    """Make the one table: our stages, our whole, and the published pipeline beside them."""
    slices = result.slices
    rows = [
        [name, number(1000 * took.processor / slices, 1), number(took.wall or math.nan, 1), _DASH, _DASH, _DASH]
        for name, took in result.stages.items()
    ]
    if result.command is not None:
        rows.append(_command_row(result.command))
    for key, timing in result.timings.items():
        beside = number(result.ratio("screening", key), 1) if key != "screening" else "1"
        wall = _spread([slices * each for each in timing.repeats]) if key == "screening" else _DASH
        rows.append([timing.name, _DASH, wall, _rate(timing), _DASH, beside])
    head = [
        "what",
        "processor ms a slice",
        f"seconds for {slices}",
        "slices a second",
        "peak MB",
        "ours is faster by",
    ]
    return table(head, rows)


def _command_row(command: CommandRun) -> list[str]:
    return [
        "the whole command, from its start to the report with pictures",
        number(1000 * sorted(command.processor_seconds)[len(command.seconds) // 2] / command.slices, 1),
        _spread(command.seconds),
        number(command.slices / command.median_seconds, 1),
        number(command.peak_mb, 0),
        _DASH,
    ]


def _spread(values: Sequence[float]) -> str:
    middle = sorted(values)[len(values) // 2]
    return f"{middle:.1f} [{min(values):.1f}, {max(values):.1f}]"


def _rate(timing: Timing) -> str:
    slow, quick = 1 / max(timing.repeats), 1 / min(timing.repeats)
    return f"{timing.slices_per_second:.3g} [{slow:.3g}, {quick:.3g}]"


def _words(result: SpeedResult) -> str:
    words = [
        "Processor time of a stage is that of all threads, with one slice worked on at a time; the whole screening",
        f"works on {slices_at_a_time(result.threads)} at a time.",
    ]
    if result.command is not None:
        load = ", ".join(number(each, 1) for each in result.command.load)
        words.append(f"Memory is that of all processes of the command together. Load before each of its runs: {load}.")
    if "official" in result.timings:
        words += [
            f"Our whole screening does {number(result.ratio('screening'), 1)} times as many slices a second as the",
            "published network, by turns in one run. That has random weights, on which its time does not depend; it",
            f"is given {result.official_slices} of the slices, as tiles without overlap, so many a call as were",
            "quickest here, and is not made to search for a place beyond them. It takes as long for each slice.",
        ]
    return paragraph(*words)


def _limits(result: SpeedResult) -> str:
    limits, network = result.limits, result.network
    words = []
    if limits is not None:
        words += [
            f"The machine multiplies {limits.bfloat16_gflop:.0f} GFLOP a processor second in bfloat16 and",
            f"{limits.float32_gflop:.0f} in float32 (torch, square matrices, one thread), and copies",
            f"{limits.copied_gb:.1f} GB a second (read and written, {result.threads} threads).",
        ]
    if network is not None:
        words += [
            f"The networks see {network.pixels:.0f} pixels of a slice in the mean over all slices: {network.levels}",
            f"passes of the noise predictor of {network.predictor.flop / 1000:.1f} kFLOP a pixel",
            *([f"and one of the head's members of {network.head.flop / 1000:.1f} together,"] if network.head else []),
            f"{network.gflop:.1f} GFLOP a slice, in {1000 * network.seconds:.1f} ms of processor time.",
        ]
    if limits is not None and network is not None:
        words += [
            f"That is {network.times_limit(limits.bfloat16_gflop):.2f} times what matrix products of as many",
            f"operations take in bfloat16, and {network.times_limit(limits.float32_gflop):.2f} times in float32.",
        ]
    return paragraph(*words) if words else ""
