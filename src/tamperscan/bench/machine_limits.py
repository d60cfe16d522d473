"""What this machine can do at most: matrix products in two number formats, and memory read and written."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

_SIDES = (768, 1024, 1536)
_FLOP_EACH = 8e9
_COPIED_MB = 512
_TRIES = 4


@dataclass(frozen=True)
class MachineLimits:
    """Limits of a machine.

    Attributes
    ----------
    bfloat16_gflop, float32_gflop
        10^9 multiplications and additions a processor second, in torch's product of two large matrices by one thread,
        of the side that is quickest.
    copied_gb
        10^9 bytes a second read and written by copying, all cores together.
    """

    bfloat16_gflop: float
    float32_gflop: float
    copied_gb: float


def measure_limits(threads: int) -> MachineLimits:
    """Measure the limits of this machine; needs torch.

    Parameters
    ----------
    threads
        That copy at a time.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        products = [max(_product_gflop(side, kind) for side in _SIDES) for kind in (torch.bfloat16, torch.float32)]
    finally:
        torch.set_num_threads(before)
    return MachineLimits(products[0], products[1], _copied_gb(threads))


def _product_gflop(side: int, kind: object) -> float:
    """Multiply square matrices for a while, and return the best rate by processor time."""
    import torch

    left, right = (torch.ones(side, side, dtype=kind) for _ in range(2))  # type: ignore[call-overload]
    flop, best = 2 * side**3, 0.0
    count = max(1, round(_FLOP_EACH / flop))
    torch.mm(left, right)
    for _ in range(_TRIES):
        begun = time.process_time()
        for _ in range(count):
            torch.mm(left, right)
        best = max(best, count * flop / (time.process_time() - begun) / 1e9)
    return best


def _copied_gb(threads: int) -> float:
    """Copy far more than any cache holds, each thread its own part, and return the best rate."""
    parts = [np.ones((2, _COPIED_MB * 1_000_000 // 4 // threads), np.float32) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_TRIES):
            begun = time.perf_counter()
            list(pool.map(lambda part: np.copyto(part[0], part[1]), parts))
            best = max(best, 2 * sum(part[0].nbytes for part in parts) / (time.perf_counter() - begun) / 1e9)
    return best
