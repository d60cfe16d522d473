"""Where a screening's processor time goes, stage by stage, one slice at a time and each by one thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import measure_acquisition
from tamperscan.detect.anatomy import Image, Mask, Viewer
from tamperscan.detect.detector import Detector
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.regions import Tissues
from tamperscan.detect.scan_evidence import ScanEvidence
from tamperscan.detect.self_forged import SelfForgedNetwork
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.scan import Scan

NETWORKS = ("noise predictor", "self-forged head")
STAGES = ("regions", *NETWORKS, "statistics", "evidence", "the rest")
Given = ParamSpec("Given")
Got = TypeVar("Got")


@dataclass
class StageClock:
    """Adds up processor time by stage, and the pixels that networks were shown.

    Attributes
    ----------
    seconds
        By stage.
    pixels
        That the predictor was shown, in one pass over each slice.
    """

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    pixels: int = 0

    def timed(self, stage: str, work: Callable[Given, Got], *given: Given.args, **more: Given.kwargs) -> Got:
        """Call something, and count what it takes as a stage."""
        with self.stage(stage):
            return work(*given, **more)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done inside as a stage, less what counts as another one already."""
        begun, others = time.process_time(), sum(self.seconds.values())
        yield
        inside = sum(self.seconds.values()) - others
        self.seconds[name] += time.process_time() - begun - inside


class _TimedPredictor(NoisePredictor):
    clock: StageClock

    def predict(self, image: Image, levels: NDArray[np.float32]) -> Image:
        self.clock.pixels += image.size
        return self.clock.timed("noise predictor", super().predict, image, levels)


class _TimedHead(SelfForgedNetwork):
    clock: StageClock

    def log_odds(self, image: Image, noise: Image) -> Image:
        return self.clock.timed("self-forged head", super().log_odds, image, noise)


class _TimedViewer:
    def __init__(self, viewer: Viewer, clock: StageClock) -> None:
        self._viewer, self._clock, self.window = viewer, clock, viewer.window

    def region(self, image: Image, spacing_mm: tuple[float, float]) -> Mask:
        return self._clock.timed("regions", self._viewer.region, image, spacing_mm)

    def tissues(self, image: Image, region: Mask) -> Tissues:
        return self._clock.timed("regions", self._viewer.tissues, image, region)

    def in_hu(self, image: Image) -> Image:
        return self._viewer.in_hu(image)


class _TimedMeter(SliceMeter):
    def timed(self, scan: Scan, clock: StageClock) -> SliceMeter:
        """Return a meter for the slices of a scan whose regions are timed."""
        meter = self.of(scan)
        meter._viewer = _TimedViewer(self._anatomy.view(scan.voxels), clock)
        return meter


def time_stages(detector: Detector, scan: Scan) -> StageClock:
    """Do what a screening does, one slice after the other, and time its stages.

    Parameters
    ----------
    detector
        With any head; its networks are opened once more, for one thread.
    scan
        A scan that the detector does not abstain from.
    """
    clock = StageClock()
    predictor = _TimedPredictor(detector.weights, threads=1)
    head = None if detector.head == "typicality" else _TimedHead(detector.weights, threads=1)
    predictor.clock = clock
    if head is not None:
        head.clock = clock
    meter = _TimedMeter(predictor, detector.card, head).timed(scan, clock)
    with clock.stage("the rest"):
        measure_acquisition(scan)
        found = ScanEvidence(scan)
        for index, image in enumerate(scan.voxels):
            with clock.stage("statistics"):
                measured = meter.measure(image, found.pixel_mm)
            if measured is not None:
                judged = clock.timed("evidence", detector.weigh, measured, found.pixel_mm)
                found.add(index, judged, measured.lung)
        found.enlarged(found.pooled())
    return clock
