"""When a GPU is at work, by its own events, and what it does at most."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch

_SIDES = (4096, 8192)
_COPIED_BYTES = 1 << 30
_TRIES = 5


@dataclass(frozen=True)
class DeviceLimits:
    """What a GPU does at most, as measured.

    Attributes
    ----------
    bfloat16_tflop
        10^12 multiplications and additions a second in torch's product of two large matrices.
    copied_gb
        10^9 bytes a second read and written by copying within its memory.
    """

    bfloat16_tflop: float
    copied_gb: float


class GpuClock:
    """Notes when a GPU is at work, by events on its streams."""

    def __init__(self) -> None:
        self._begun = _event()
        self._begun.record()
        self._pairs: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Note what is enqueued on the current stream inside; runs come one after the other, under a lock."""
        first, last = _event(), _event()
        first.record()
        yield
        last.record()
        self._pairs.append((first, last))

    def spans(self) -> list[tuple[float, float]]:
        """Return when work began and ended, in seconds."""
        torch.cuda.synchronize()
        return [
            (self._begun.elapsed_time(first) / 1e3, self._begun.elapsed_time(last) / 1e3) for first, last in self._pairs
        ]


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return how long at least one of some spans lasts; streams may work at the same time."""
    total, reached = 0.0, float("-inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, reached))
        reached = max(reached, last)
    return total


def measure_limits() -> DeviceLimits:
    """Measure what the GPU multiplies and copies at most."""
    rates = []
    for side in _SIDES:
        left, right = (torch.randn(side, side, device="cuda", dtype=torch.bfloat16) for _ in range(2))
        rates.append(2e-12 * side**3 / _least_seconds(partial(torch.mm, left, right)))
    values = torch.zeros(_COPIED_BYTES, dtype=torch.uint8, device="cuda")
    into = torch.empty_like(values)
    return DeviceLimits(max(rates), 2e-9 * _COPIED_BYTES / _least_seconds(partial(into.copy_, values)))


def _least_seconds(work: Callable[[], object]) -> float:
    """Return the least GPU time of several runs, after a first one."""
    work()
    found = []
    for _ in range(_TRIES):
        clock = GpuClock()
        with clock.watch():
            work()
        found.append(covered(clock.spans()))
    return min(found)
