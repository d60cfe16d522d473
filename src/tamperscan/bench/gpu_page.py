"""The section of the results page on speed on a GPU."""

from __future__ import annotations

from tamperscan.bench.document import Provenance
from tamperscan.bench.gpu import GpuSpeed, NetworkTime
from tamperscan.bench.gpu_clock import DeviceLimits
from tamperscan.bench.speed_subject import subject_words
from tamperscan.bench.tables import number, paragraph, table


def gpu_page(result: GpuSpeed, origin: Provenance) -> str:
    """Tell slices a second, the networks' time beside the device's limits, and how long the GPU waits."""
    rows = [_row(name, network, result.limits) for name, network in result.networks.items()]
    head = ("network", "GPU ms a slice", "GFLOP", "MB by layers", "floor, ms", "times the floor")
    return "\n\n".join(("## Speed on a GPU", _head(result, origin), _words(result), table(head, rows), _limits(result)))


def _head(result: GpuSpeed, origin: Provenance) -> str:
    return paragraph(origin.markdown(), *subject_words(result, beside="Beside the GPU "))


def _words(result: GpuSpeed) -> str:
    timing = result.screening
    slow, quick = 1 / max(timing.repeats), 1 / min(timing.repeats)
    waits = sorted(result.waits)
    return paragraph(
        f"Through the detector, from decoded voxels to the verdict: {number(timing.slices_per_second, 1)} slices a",
        f"second [{number(slow, 1)}, {number(quick, 1)}] in the median of {len(timing.repeats)} repeats, the least and",
        "the most in brackets, once the networks are recorded for the sizes of the series. The GPU has nothing to do",
        f"for {waits[len(waits) // 2]:.0%} of that time [{waits[0]:.0%}, {waits[-1]:.0%}].",
    )


def _row(name: str, network: NetworkTime, limits: DeviceLimits) -> list[str]:
    floor = network.floor(limits)
    return [
        name,
        number(1e3 * network.seconds, 2),
        number(network.gflop, 1),
        number(network.layer_mb, 0),
        number(1e3 * floor, 2),
        number(network.seconds / floor, 1),
    ]


def _limits(result: GpuSpeed) -> str:
    limits = result.limits
    return paragraph(
        "One slice after the other, by the GPU's own events, with the way from the host's memory and back;",
        f"{number(result.pixels, 0)} pixels a slice in the mean. The floor is what the convolutions' operations take",
        f"at the {number(limits.bfloat16_tflop, 0)} TFLOP a second at which this GPU multiplies large matrices in",
        f"bfloat16, or their inputs and outputs at the {number(limits.copied_gb, 0)} GB a second at which it copies",
        "memory, whichever is more.",
    )
