"""How fast screening is: stage by stage, beside the published pipeline and the machine's limits, in one run."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.machine import load_average
from tamperscan.bench.memory import CommandRun, time_command, write_series
from tamperscan.bench.speed_series import evenly, long_series
from tamperscan.bench.speed_subject import SpeedSubject, describe
from tamperscan.bench.stages import NETWORKS, StageClock, time_stages
from tamperscan.bench.tiles import score_tiles, slice_tiles
from tamperscan.bench.timing import Taken, Timing, Way, Ways, time_by_turns, timed
from tamperscan.detect.detector import Detector
from tamperscan.detect.load import load_detector
from tamperscan.detect.self_forged import HEAD_FILE
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.errors import TamperscanError, WeightsError
from tamperscan.scan import Scan, read_scan

if TYPE_CHECKING:
    from tamperscan.bench.machine_limits import MachineLimits
    from tamperscan.bench.operations import Operations

LONG_SCAN_SLICES = 300
Slices = NDArray[np.float32]
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Network:
    """What the networks do for one slice, beside what the machine can do.

    Attributes
    ----------
    pixels
        That they are shown of a slice, in the mean over all slices.
    levels
        Passes of the noise predictor.
    predictor, head
        Operations of one pass; ``head`` of all members, None without one.
    seconds
        Processor time a slice.
    """

    pixels: float
    levels: int
    predictor: Operations
    head: Operations | None
    seconds: float

    @property
    def gflop(self) -> float:
        """10^9 operations a slice."""
        head = self.head.flop if self.head else 0.0
        return self.pixels * (self.levels * self.predictor.flop + head) / 1e9

    def times_limit(self, gflop_a_second: float) -> float:
        """Return how many times as long they take as matrix products of as many operations would."""
        return self.seconds / (self.gflop / gflop_a_second)


@dataclass(frozen=True)
class SpeedResult(SpeedSubject):
    """Speed, memory and limits.

    Attributes
    ----------
    load
        The machine's load average of the last minute, before and after.
    timings
        By key: ``"screening"`` (the whole scan), ``"official"`` (the published network in torch), ``"official_onnx"``.
    official_batch, official_slices
        Tiles a call that the official pipeline was quickest with, and how many of the slices it was run on.
    stages
        What each takes on the whole scan.
    network
        None where operations can't be counted.
    limits
        None where they can't be measured.
    command
        None where it can't be measured.
    missing
        What could not be measured, and why.
    """

    load: tuple[float, float]
    timings: Mapping[str, Timing]
    official_batch: int | None
    official_slices: int
    stages: Mapping[str, Taken]
    network: Network | None
    limits: MachineLimits | None
    command: CommandRun | None
    missing: tuple[str, ...]

    def ratio(self, key: str, official: str = "official") -> float:
        """Return how many times faster one of our timings is than an official one; NaN if one is missing."""
        if key not in self.timings or official not in self.timings:
            return math.nan
        return self.timings[official].seconds / self.timings[key].seconds


def measure_speed(
    data: Path,
    detector: str,
    *,
    slices: int = 5,
    repeats: int = 3,
    threads: int | None = None,
    long_scan: int = LONG_SCAN_SLICES,
    report: Report = lambda done, total: None,
) -> SpeedResult:
    """Measure speed, memory and limits; our screening and the official network are run by turns.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it; without it a phantom is made.
    detector
        A packaged detector or a folder.
    slices
        How many slices of the scan the official network is run on: it takes the same time for each.
    repeats
        How often each way, and the whole command, is run.
    threads
        Threads; None for one each core that this process may use.
    long_scan
        Slices of the scan.
    report
        Called with (steps done, steps in all).
    """
    count, before = threads or usable_cores(), load_average()
    subject = load_detector(detector, threads=count)
    if not isinstance(subject, Detector):
        raise WeightsError(f"{subject.name}: is the published score itself. Give a detector to compare it with.")
    scan, missing = long_series(data, long_scan), list[str]()
    official, batch = _official_ways(evenly(scan, slices), count, missing)
    ways = {"screening": Way("our whole screening", long_scan, lambda: subject.screen(scan))} | official
    steps = _Steps((repeats + 1) * len(ways) + repeats + 2, report)
    timings = time_by_turns(ways, repeats, steps.step)
    clock = time_stages(subject, scan)
    steps.step()
    limits = _limits(count, missing)
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        write_series(study, scan, long_scan)
        ends = _time_ends(study, subject, Path(folder) / "out")
        steps.step()
        command = time_command(study, detector, long_scan, repeats, missing, steps.step)
    return SpeedResult(
        **vars(describe(subject, scan, count)),
        load=(before, load_average()),
        timings=timings,
        official_batch=batch,
        official_slices=min(slices, long_scan),
        stages={"read": ends[0], **{name: Taken(took) for name, took in clock.seconds.items()}, "report": ends[1]},
        network=_network(subject, clock, long_scan, missing),
        limits=limits,
        command=command,
        missing=tuple(missing),
    )


class _Steps:
    """Counts steps for a progress bar."""

    def __init__(self, total: int, report: Report) -> None:
        self._done, self._total, self._report = 0, total, report

    def step(self) -> None:
        self._done += 1
        self._report(self._done, self._total)


def _time_ends(study: Path, detector: Detector, out: Path) -> tuple[Taken, Taken]:
    """Time what comes before a screening, reading, and after it, the report with its pictures."""
    from tamperscan.report import write_report

    scan, read = timed(lambda: read_scan(study))
    screening = detector.screen(scan)
    return read, timed(lambda: write_report(screening, out))[1]


def _network(detector: Detector, clock: StageClock, slices: int, missing: list[str]) -> Network | None:
    try:
        from tamperscan.bench.operations import count_operations
    except ImportError as error:
        missing.append(f"Operations: {error.name} is not installed (pip install 'tamperscan[train]').")
        return None
    weights = detector.weights
    with_head = detector.head != "typicality"
    return Network(
        pixels=clock.pixels / slices,
        levels=len(weights.card.levels_hu),
        predictor=count_operations(weights.network_path),
        head=count_operations(weights.folder / HEAD_FILE) if with_head else None,
        seconds=sum(clock.seconds[stage] for stage in NETWORKS) / slices,
    )


def _limits(threads: int, missing: list[str]) -> MachineLimits | None:
    try:
        from tamperscan.bench.machine_limits import measure_limits

        return measure_limits(threads)
    except ImportError as error:
        missing.append(f"The machine's limits: {error.name} is not installed (pip install 'tamperscan[train]').")
        return None


def _official_ways(scan: Scan, threads: int, missing: list[str]) -> tuple[Ways, int | None]:
    """Set up the published pipeline, if there is torch."""
    try:
        from tamperscan.bench.official import exported_step, published_network, quickest_batch, torch_step
    except ImportError as error:
        missing.append(f"The published pipeline: {error.name} is not installed (pip install 'tamperscan[train]').")
        return {}, None
    network = published_network(threads)
    tiles = [slice_tiles(image) for image in scan.voxels]
    batch = quickest_batch(network, tiles[0])
    words = f"{len(tiles[0])} tiles a slice, {batch} a call"
    torch_run = _over(tiles, torch_step(network, batch))
    ways = {"official": Way(f"published network in torch, {words}", len(tiles), torch_run)}
    try:
        step = exported_step(network, batch, threads)
    except (ImportError, TamperscanError) as error:
        missing.append(f"The published network in onnxruntime: {error}")
    else:
        ways["official_onnx"] = Way(f"published network in onnxruntime, {words}", len(tiles), _over(tiles, step))
    return ways, batch


def _over(slices: Sequence[Slices], step: Callable[[Slices], Slices]) -> Callable[[], None]:
    schedule = noise_schedule("sigmoid", 1000)

    def run() -> None:
        for tiles in slices:
            score_tiles(tiles, step, schedule)

    return run
