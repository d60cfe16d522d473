"""How many crops a second training gets, and how many it could use: from files, from the cache, ahead, in the step.

Everything is run on one thread, and seconds are those of the processor time of the process: what else the machine does
then changes little, and a figure is one of a core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from tamperscan.bench.machine import processor_name
from tamperscan.detect.crops import CachedScan, CropSource, build_cache, cut_square
from tamperscan.detect.self_forging import ForgingSource, PredictorToSend
from tamperscan.detect.training import plan_training
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.loading import steps_ahead
from tamperscan.diffusion.presets import TrainingPreset, preset
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.diffusion.train import StepDraw, build_network
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import BenchError
from tamperscan.scan.windows import IntensityWindow

PRESET = "low-noise-ct"
# NVIDIA H200 data sheet (2024): 1,979 TFLOP/s in bfloat16 with sparsity, half of it without.
H200_FLOPS = 989e12
H200_SHARE = 0.4
"""Part of its matrix limit that small convolutions may be hoped to reach on a GPU."""

_MATRIX = 2048
Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Pace:
    """Crops a second of one way, the median over repeats.

    Attributes
    ----------
    name
        What was run.
    crops_per_second
        Median.
    repeats
        Each of them.
    """

    name: str
    crops_per_second: float
    repeats: tuple[float, ...]


@dataclass(frozen=True)
class TrainingSpeed:
    """What was measured.

    Attributes
    ----------
    paces
        By key: ``files``, ``cache``, ``ahead``, ``forged``, ``step``, ``training``.
    scans, slices
        That the crops were drawn of.
    megabytes
        Of the cache.
    build_seconds
        What building it took, once.
    flops_per_crop
        Of a training step: forward and backward.
    matrix_flops
        That a core does in a second, by number format.
    number_format
        That the step was run in.
    loaders, cores
        Processes that drew ahead, and cores that there are.
    processor
        Its name.
    """

    paces: Mapping[str, Pace]
    scans: int
    slices: int
    megabytes: float
    build_seconds: float
    flops_per_crop: float
    matrix_flops: Mapping[str, float]
    number_format: str
    loaders: int
    cores: int
    processor: str

    @property
    def limit(self) -> float:
        """Crops a second at the matrix limit of one core."""
        return self.matrix_flops[self.number_format] / self.flops_per_crop

    @property
    def needed(self) -> float:
        """Crops a second that an H200 would use at `H200_SHARE` of its limit."""
        return H200_SHARE * H200_FLOPS / self.flops_per_crop


def measure_training(
    data: Path,
    weights: Weights,
    folder: Path,
    *,
    patterns: list[str],
    seconds: float = 3.0,
    repeats: int = 3,
    loaders: int = 1,
    report: Report = lambda done, total: None,
) -> TrainingSpeed:
    """Measure all ways by turns on the same scans.

    Parameters
    ----------
    data
        Folder of scans.
    weights
        A low-noise predictor for CT, for the alterations that re-synthesise.
    folder
        For the cache.
    patterns
        Globs of the scans.
    seconds, repeats
        How long each way is run, in processor time, and how often.
    loaders
        Processes that draw ahead.
    report
        Called with (runs done, runs in all).

    Raises
    ------
    BenchError
        If there are no such scans.
    """
    files = [path for pattern in patterns for path in sorted(data.glob(f"{pattern}/*.dcm"))]
    if not files:
        raise BenchError(f"{data}: holds no DICOM series that match {', '.join(patterns)}. Give --data.")
    torch.set_num_threads(1)
    begun = time.perf_counter()
    cached = build_cache(plan_training(data, "CT", patterns=patterns), folder)
    built = time.perf_counter() - begun
    settings = preset(PRESET)
    assert settings.window is not None  # it is one of CT
    source = CropSource(folder, cached, crop_px=settings.crop_px, window=IntensityWindow(*settings.window))
    step = _Step(settings)
    ways = _ways(files, source, step, weights, settings, loaders)
    paces = _by_turns(ways, seconds, repeats, report)
    return TrainingSpeed(
        paces,
        len(cached),
        sum(entry.slices for entry in cached),
        _megabytes(folder, cached),
        built,
        step.flops_per_crop(),
        {"float32": matrix_flops(torch.float32), "bfloat16": matrix_flops(torch.bfloat16)},
        "bfloat16" if step.low_precision else "float32",
        loaders,
        usable_cores(),
        processor_name(),
    )


def matrix_flops(kind: torch.dtype, seconds: float = 1.0) -> float:
    """Return what matrix multiplication on one core does in a second: the limit of every network in this format."""
    one, other = (torch.randn(_MATRIX, _MATRIX).to(kind) for _ in "ab")
    best, begun = np.inf, time.process_time()
    while time.process_time() - begun < seconds or not np.isfinite(best):
        start = time.process_time()
        torch.mm(one, other)
        best = min(best, time.process_time() - start)
    return float(2 * _MATRIX**3 / best)


class _Step:
    """One optimiser step of a fresh network."""

    def __init__(self, settings: TrainingPreset) -> None:
        self._settings = settings
        self._network = build_network(settings)
        self._optimiser = torch.optim.Adam(self._network.parameters(), lr=1e-4)
        self.low_precision = fast_at_bf16()
        shape = (settings.batch, 1, settings.crop_px, settings.crop_px)
        self.fixed = torch.randn(shape), torch.randn(shape), torch.full((settings.batch,), 0.02)

    def __call__(self, start: torch.Tensor, noise: torch.Tensor, sigma: torch.Tensor) -> int:
        """Learn from crops; return how many."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low_precision):
            predicted = self._network(start + sigma[:, None, None, None] * noise, sigma)
        loss = (predicted.float() - noise).square().mean()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()
        return len(start)

    def flops_per_crop(self) -> float:
        """Count the operations of forward and backward, two for each multiplication with its addition."""
        with FlopCounterMode(display=False) as counter:
            self(*self.fixed)
        return float(counter.get_total_flops()) / self._settings.batch


Way = Callable[[float], float]


def _ways(
    files: Sequence[Path],
    source: CropSource,
    step: _Step,
    weights: Weights,
    settings: TrainingPreset,
    loaders: int,
) -> dict[str, tuple[str, Way]]:
    draw = StepDraw(settings, source, with_noise=True)
    crops_only = _CropsOnly(source, settings.batch)
    window = IntensityWindow(*settings.window) if settings.window else None
    assert window is not None
    forged = ForgingSource(source, PredictorToSend(weights), window, 128)
    counted = _counted(lambda rng: settings.batch if len(source.draw(rng, settings.batch)) else 0)
    return {
        "files": (
            "crops out of DICOM files, decoded each time",
            _counted(lambda rng: _from_file(files, settings, rng)),
        ),
        "cache": ("crops out of the cache, in the training process", counted),
        "ahead": (
            f"crops drawn ahead by {loaders} other: seconds of the training process",
            _ahead(crops_only, loaders, settings.batch),
        ),
        "forged": ("forged crops for the self-forged head", _counted(lambda rng: len(forged.draw(rng, 4)[0]))),
        "step": ("training step, always the same crops", _counted(lambda rng: step(*step.fixed))),
        "training": ("training step, crops drawn as it goes", _counted(lambda rng: step(*_tensors(draw(rng))))),
    }


@dataclass(frozen=True)
class _CropsOnly:
    """Draws what a step needs but for the noise, which a GPU draws itself."""

    source: CropSource
    batch: int

    def __call__(self, rng: np.random.Generator) -> tuple[NDArray[np.float32]]:
        return (self.source.draw(rng, self.batch),)


def _tensors(arrays: Sequence[NDArray[np.float32]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    start, noise, sigma = (torch.from_numpy(each) for each in arrays)
    return start, noise, sigma


def _counted(work: Callable[[np.random.Generator], int]) -> Way:
    """Run work for so many seconds of processor time; return crops a second."""

    def run(seconds: float) -> float:
        done, number, begun = 0, 0, time.process_time()
        while time.process_time() - begun < seconds:
            done += work(np.random.default_rng(number))
            number += 1
        return done / (time.process_time() - begun)

    return run


def _ahead(draw: _CropsOnly, loaders: int, batch: int) -> Way:
    """Take what processes draw ahead: what is left for the process that trains."""

    def run(seconds: float) -> float:
        steps = steps_ahead(draw, (0,), 0, 10**7, loaders=loaders)
        for _ in range(8 * loaders):
            next(steps)
        done, spent, begun = 0, time.process_time(), time.monotonic()
        while time.monotonic() - begun < seconds:
            next(steps)
            done += batch
        return done / (time.process_time() - spent)

    return run


def _from_file(files: Sequence[Path], settings: TrainingPreset, rng: np.random.Generator) -> int:
    """Decode one slice and cut one crop out of it, as training without a cache would."""
    dataset = pydicom.dcmread(files[int(rng.integers(len(files)))])
    image = dataset.pixel_array.astype(np.float32) * float(dataset.get("RescaleSlope", 1))
    row, column = (int(rng.integers(side)) for side in image.shape)
    cut_square(image, row, column, settings.crop_px)
    return 1


def _by_turns(ways: Mapping[str, tuple[str, Way]], seconds: float, repeats: int, report: Report) -> dict[str, Pace]:
    took: dict[str, list[float]] = {key: [] for key in ways}
    for turn in range(repeats):
        for place, (key, (_, run)) in enumerate(ways.items(), start=1):
            took[key].append(run(seconds))
            report(turn * len(ways) + place, repeats * len(ways))
    return {key: Pace(ways[key][0], statistics.median(found), tuple(found)) for key, found in took.items()}


def _megabytes(folder: Path, cached: Sequence[CachedScan]) -> float:
    return sum((folder / entry.file).stat().st_size for entry in cached) / 1e6
