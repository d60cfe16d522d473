"""Timing work: several ways by turns, or one thing in processor time and on the clock."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tamperscan.bench.process_tree import POSSIBLE, processor_seconds

Value = TypeVar("Value")


@dataclass(frozen=True)
class Way:
    """A way of looking at slices: its name, how many slices a run covers, and what runs."""

    name: str
    slices: int
    run: Callable[[], object]


Ways = dict[str, Way]


@dataclass(frozen=True)
class Timing:
    """What one way of looking at a slice takes.

    Attributes
    ----------
    name
        What was run.
    seconds
        Per slice: the median over the repeats.
    repeats
        Per slice, in each repeat.
    """

    name: str
    seconds: float
    repeats: tuple[float, ...]

    @property
    def slices_per_second(self) -> float:
        """How many slices a second."""
        return 1.0 / self.seconds if self.seconds > 0 else math.inf


@dataclass(frozen=True)
class Taken:
    """What a stage takes on the whole scan: processor seconds, and wall seconds where it is done by itself."""

    processor: float
    wall: float | None = None


def time_by_turns(ways: Ways, repeats: int, report: Callable[[], None]) -> dict[str, Timing]:
    """Run every way once to warm up, then all by turns.

    Parameters
    ----------
    ways
        By key.
    repeats
        How often.
    report
        Called after each run.
    """
    took: dict[str, list[float]] = {key: [] for key in ways}
    for turn in range(repeats + 1):
        for key, way in ways.items():
            begun = time.perf_counter()
            way.run()
            if turn:
                took[key].append((time.perf_counter() - begun) / way.slices)
            report()
    return {key: Timing(ways[key].name, statistics.median(values), tuple(values)) for key, values in took.items()}


def timed(work: Callable[[], Value]) -> tuple[Value, Taken]:
    """Do something, and tell what it took."""
    begun, spent = time.perf_counter(), _spent()
    value = work()
    return value, Taken(_spent() - spent, time.perf_counter() - begun)


def _spent() -> float:
    return processor_seconds() if POSSIBLE else time.process_time()
