"""How fast screening is beside the published pipeline, measured in one run, and how much memory a long scan takes."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.memory import Memory, measure_memory
from tamperscan.bench.subjects import CT_FOLDER
from tamperscan.bench.tiles import score_tiles, slice_tiles
from tamperscan.detect.detector import Detector
from tamperscan.detect.load import load_detector
from tamperscan.detect.measure import SliceMeter
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import TamperscanError, WeightsError
from tamperscan.scan import IntensityWindow, Scan, read_scan

SERIES = "series/LIDC-IDRI-0001_*"
LONG_SCAN_SLICES = 300
_PHANTOM_SIDE = 512
Slices = NDArray[np.float32]
Report = Callable[[int, int], None]
Ways = dict[str, tuple[str, Callable[[], float | None]]]


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
class SpeedResult:
    """Speed and memory.

    Attributes
    ----------
    detector, weights_sha256
        What was measured.
    source
        The slices that it was measured on.
    slices, shape
        How many, and their (rows, columns).
    cores, threads
        Cores that the process may use, and threads that each network was given.
    processor, versions
        The machine, and versions of what counts.
    timings
        By key: ``"pass"`` (one pass over a whole slice), ``"network"`` (all passes of a screening), ``"screening"``,
        ``"official"`` (the published network in torch), ``"official_onnx"``.
    official_batch
        Tiles a call that the official pipeline was quickest with.
    memory
        None where it can't be measured.
    missing
        What could not be measured, and why.
    """

    detector: str
    weights_sha256: str
    source: str
    slices: int
    shape: tuple[int, int]
    cores: int
    threads: int
    processor: str
    versions: Mapping[str, str]
    timings: Mapping[str, Timing]
    official_batch: int | None
    memory: Memory | None
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
    repeats: int = 5,
    threads: int | None = None,
    long_scan: int = LONG_SCAN_SLICES,
    report: Report = lambda done, total: None,
) -> SpeedResult:
    """Measure speed and memory; all ways are run by turns on the same slices.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it; without it a phantom is made.
    detector
        A packaged detector or a folder.
    slices, repeats
        How many slices, and how often each way is run on them.
    threads
        Threads of every network; None for one each core that this process may use.
    long_scan
        Slices of the scan whose memory is measured; 0 for not at all.
    report
        Called with (runs done, runs in all).
    """
    count = threads or _cores()
    subject = load_detector(detector, threads=count)
    if not isinstance(subject, Detector):
        raise WeightsError(f"{subject.name}: is the published score itself. Give a detector to compare it with.")
    scan = some_slices(data, slices)
    missing: list[str] = []
    memory = measure_memory(scan, detector, long_scan, missing)
    ways = _our_ways(subject, scan, count)
    official, batch = _official_ways(scan, count, missing)
    timings = time_by_turns(ways | official, scan.shape[0], repeats, report)
    return SpeedResult(
        detector=subject.name,
        weights_sha256=subject.weights.sha256,
        source=scan.name,
        slices=scan.shape[0],
        shape=scan.shape[1:],
        cores=_cores(),
        threads=count,
        processor=_processor(),
        versions=_versions(),
        timings=timings,
        official_batch=batch,
        memory=memory,
        missing=tuple(missing),
    )


def some_slices(data: Path, count: int) -> Scan:
    """Take slices evenly from the middle half of a real series; a phantom where there is none."""
    series = sorted((data / CT_FOLDER).glob(SERIES))
    scan = read_scan(series[0]) if series else phantom(count)
    quarter = scan.shape[0] // 4
    indices = np.linspace(quarter, scan.shape[0] - 1 - quarter, count).round().astype(int)
    return replace(scan, voxels=np.ascontiguousarray(scan.voxels[indices]))


def phantom(slices: int) -> Scan:
    """Make a chest of two noisy lungs in a noisy body, 512 x 512 pixels of 0.7 mm."""
    rows, columns = np.mgrid[:_PHANTOM_SIDE, :_PHANTOM_SIDE].astype(np.float32)
    image = np.full((_PHANTOM_SIDE, _PHANTOM_SIDE), -1000.0, dtype=np.float32)
    image[_ellipse(rows, columns, (256, 256), (170, 230))] = 40.0
    for middle in (150, 362):
        image[_ellipse(rows, columns, (250, middle), (120, 80))] = -850.0
    noise = np.random.default_rng(0).normal(0.0, 25.0, (slices, *image.shape)).astype(np.float32)
    return Scan(voxels=image + noise, spacing_mm=(2.5, 0.7, 0.7), modality="CT", name="phantom")


def time_by_turns(ways: Ways, slices: int, repeats: int, report: Report) -> dict[str, Timing]:
    """Run every way once to warm up, then all by turns.

    Parameters
    ----------
    ways
        Key to (name, what runs over all slices). It may return the seconds that count; else it is timed.
    slices
        How many slices each run covers.
    repeats
        How often.
    report
        Called with (runs done, runs in all).
    """
    took: dict[str, list[float]] = {key: [] for key in ways}
    total = (repeats + 1) * len(ways)
    for turn in range(repeats + 1):
        for place, (key, (_, run)) in enumerate(ways.items(), start=1):
            begun = time.perf_counter()
            told = run()
            seconds = time.perf_counter() - begun if told is None else told
            if turn:
                took[key].append(seconds / slices)
            report(turn * len(ways) + place, total)
    return {key: Timing(ways[key][0], statistics.median(values), tuple(values)) for key, values in took.items()}


class TimedPredictor(NoisePredictor):
    """A noise predictor that adds up the seconds that it takes."""

    def __init__(self, weights: Weights, *, threads: int | None = None) -> None:
        super().__init__(weights, threads=threads)
        self.seconds = 0.0

    def predict(self, image: NDArray[np.float32], levels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Predict, and remember how long it took."""
        begun = time.perf_counter()
        noise = super().predict(image, levels)
        self.seconds += time.perf_counter() - begun
        return noise


def _our_ways(detector: Detector, scan: Scan, threads: int) -> Ways:
    predictor = TimedPredictor(detector.weights, threads=threads)
    card = detector.card
    meter = SliceMeter(predictor, card)
    window = IntensityWindow(*card.window) if card.window else IntensityWindow(-1024.0, 1024.0)
    whole = window.to_model(scan.voxels)
    level = np.array([card.levels_hu[0] / window.units_per_model_unit], dtype=np.float32)

    def one_pass() -> None:
        for image in whole:
            predictor.predict_batch(image[None], level)

    def network() -> float:
        predictor.seconds = 0.0
        for image in scan.voxels:
            meter.measure(image, scan.spacing_mm[1:])
        return predictor.seconds

    def screening() -> None:
        detector.screen(scan)

    return {
        "pass": ("our network, one pass over the whole slice", one_pass),
        "network": (f"our network in a screening ({len(card.levels_hu)} passes over the lungs' box)", network),
        "screening": ("our whole screening", screening),
    }


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
    ways: Ways = {"official": (f"published network in torch, {words}", _over(tiles, torch_step(network, batch)))}
    try:
        step = exported_step(network, batch, threads)
    except (ImportError, TamperscanError) as error:
        missing.append(f"The published network in onnxruntime: {error}")
    else:
        ways["official_onnx"] = (f"published network in onnxruntime, {words}", _over(tiles, step))
    return ways, batch


def _over(slices: Sequence[Slices], step: Callable[[Slices], Slices]) -> Callable[[], None]:
    schedule = noise_schedule("sigmoid", 1000)

    def run() -> None:
        for tiles in slices:
            score_tiles(tiles, step, schedule)

    return run


def _ellipse(
    rows: Slices, columns: Slices, centre: tuple[float, float], radii: tuple[float, float]
) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 < 1.0
    return inside


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    """Tell the processor's model, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in ("numpy", "onnxruntime", "torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
