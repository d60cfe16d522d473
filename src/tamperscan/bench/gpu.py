"""How fast screening is on a GPU: slices a second, the networks' own time beside the device's limits, and idle time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.gpu_clock import DeviceLimits, GpuClock, covered, measure_limits
from tamperscan.bench.operations import Operations, count_operations
from tamperscan.bench.speed_series import evenly, long_series
from tamperscan.bench.speed_subject import SpeedSubject, describe
from tamperscan.bench.stages import NETWORKS
from tamperscan.bench.timing import Timing
from tamperscan.detect.detector import Detector
from tamperscan.detect.load import load_detector
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.self_forged import HEAD_FILE, SelfForgedNetwork
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.diffusion.torch_runtime import TorchNetwork
from tamperscan.errors import BenchError
from tamperscan.scan import Scan

PREDICTOR, HEAD = NETWORKS
# Slices of the series that the networks are timed on by themselves.
_ALONE = 32

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class NetworkTime:
    """What a network takes of the GPU for one slice, with nothing beside it.

    Attributes
    ----------
    seconds
        By the GPU's own events: inputs fetched, the network run, its output laid into the host's memory.
    gflop
        10^9 operations.
    layer_mb
        10^6 bytes if each convolution's input and output goes through memory.
    """

    seconds: float
    gflop: float
    layer_mb: float

    def floor(self, limits: DeviceLimits) -> float:
        """Return the seconds that the operations or the bytes take at least, whichever is more."""
        return max(self.gflop / limits.bfloat16_tflop, self.layer_mb / limits.copied_gb) / 1e3


@dataclass(frozen=True)
class GpuSpeed(SpeedSubject):
    """Speed on a GPU.

    Attributes
    ----------
    screening
        The whole screening, a slice.
    waits
        In each repeat the share of the time in which the GPU had nothing to do.
    pixels
        That the networks are shown of a slice, in the mean.
    networks
        By name.
    limits
        Of the GPU.
    """

    screening: Timing
    waits: tuple[float, ...]
    pixels: float
    networks: Mapping[str, NetworkTime]
    limits: DeviceLimits


def measure_gpu(
    data: Path,
    detector: str,
    *,
    repeats: int = 3,
    threads: int | None = None,
    long_scan: int = 300,
    report: Report = lambda done, total: None,
) -> GpuSpeed:
    """Measure screening on a GPU.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it; without it a phantom is made.
    detector
        A packaged detector or a folder.
    repeats
        How often the series is screened, after a first time that records the networks.
    threads
        CPU threads beside the GPU; None for one each core that this process may use.
    long_scan
        Slices of the series.
    report
        Called with (steps done, steps in all).

    Raises
    ------
    WeightsError
        If there is no GPU, or the detector can't be run on it.
    BenchError
        If the networks are not run by torch, or no slice of the series can be measured.
    """
    count = threads or usable_cores()
    subject = load_detector(detector, threads=count, device="cuda")
    if not isinstance(subject, Detector):
        raise BenchError(f"{subject.name}: is the published score itself. Give a detector.")
    scan = long_series(data, long_scan)
    subject.screen(scan)
    report(1, repeats + 3)
    runs = []
    for turn in range(repeats):
        runs.append(_timed_screening(subject, scan))
        report(turn + 2, repeats + 3)
    pixels, networks = _networks_alone(subject, evenly(scan, _ALONE))
    report(repeats + 2, repeats + 3)
    limits = measure_limits()
    report(repeats + 3, repeats + 3)
    seconds = [wall / long_scan for wall, _ in runs]
    return GpuSpeed(
        **vars(describe(subject, scan, count)),
        screening=Timing("our whole screening", sorted(seconds)[len(seconds) // 2], tuple(seconds)),
        waits=tuple(1 - busy / wall for wall, busy in runs),
        pixels=pixels,
        networks=networks,
        limits=limits,
    )


def _timed_screening(detector: Detector, scan: Scan) -> tuple[float, float]:
    """Screen a scan, and return the seconds on the clock and those in which the GPU was at work."""
    clock = GpuClock()
    begun = time.perf_counter()
    with _watched([_by_torch(network) for network in detector.networks], clock):
        detector.screen(scan)
    return time.perf_counter() - begun, covered(clock.spans())


def _networks_alone(detector: Detector, scan: Scan) -> tuple[float, dict[str, NetworkTime]]:
    """Run the networks on one slice after the other, and return the pixels of a slice and what each network takes."""
    weights = detector.weights
    predictor = NoisePredictor(weights, device="cuda")
    head = None if detector.head == "typicality" else SelfForgedNetwork(weights, device="cuda")
    meter, spacing_mm = SliceMeter(predictor, weights.card).of(scan), (scan.spacing_mm[1], scan.spacing_mm[2])
    for _ in range(2):  # the first time records them
        first, second = GpuClock(), GpuClock()
        with _watched([_by_torch(predictor.network)], first):
            looks = [look for image in scan.voxels if (look := meter.look(image, spacing_mm)) is not None]
        if head is not None:
            with _watched([_by_torch(head.network)], second):
                for look in looks:
                    head.log_odds(look.shown, look.noise)
    if not looks:
        raise BenchError(f"{scan.name}: nothing can be measured in its slices. Give scans of lungs.")
    pixels = sum(look.shown.size for look in looks) / len(looks)
    levels = looks[0].noise.shape[0]
    found = {PREDICTOR: _network_time(count_operations(weights.network_path), levels * pixels, first, len(looks))}
    if head is not None:
        found[HEAD] = _network_time(count_operations(weights.folder / HEAD_FILE), pixels, second, len(looks))
    return pixels, found


def _network_time(operations: Operations, pixels: float, clock: GpuClock, slices: int) -> NetworkTime:
    seconds = covered(clock.spans()) / slices
    return NetworkTime(seconds, pixels * operations.flop / 1e9, pixels * operations.layer_bytes / 1e6)


def _by_torch(network: object) -> TorchNetwork:
    if not isinstance(network, TorchNetwork):
        raise BenchError("The networks are not run by torch. Install torch with CUDA (pip install 'tamperscan[gpu]').")
    return network


@contextmanager
def _watched(networks: Sequence[TorchNetwork], clock: GpuClock) -> Iterator[None]:
    before = [network.watch for network in networks]
    for network in networks:
        network.watch = clock.watch
    try:
        yield
    finally:
        for network, watch in zip(networks, before, strict=True):
            network.watch = watch
