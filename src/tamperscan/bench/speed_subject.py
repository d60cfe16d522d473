"""What speed is measured of, and where: the detector, the series, the machine, and how a page tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tamperscan.bench.machine import package_versions, processor_name
from tamperscan.detect.detector import Detector
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.scan import Scan


@dataclass(frozen=True)
class SpeedSubject:
    """What speed is measured of, and where.

    Attributes
    ----------
    detector, weights_sha256, runtime
        What is measured, and what runs its networks.
    source, slices, shape
        The series, how many slices of it, and their (rows, columns).
    cores, threads
        Cores that the process may use, and threads that are used.
    processor, versions
        The machine, and versions of what counts.
    """

    detector: str
    weights_sha256: str
    runtime: str
    source: str
    slices: int
    shape: tuple[int, int]
    cores: int
    threads: int
    processor: str
    versions: Mapping[str, str]


def describe(detector: Detector, series: Scan, threads: int) -> SpeedSubject:
    """Describe a detector that screens a series on this machine."""
    return SpeedSubject(
        detector=detector.name,
        weights_sha256=detector.weights.sha256,
        runtime=detector.runtime,
        source=series.name,
        slices=series.shape[0],
        shape=series.shape[1:],
        cores=usable_cores(),
        threads=threads,
        processor=processor_name(),
        versions=package_versions(),
    )


def subject_words(subject: SpeedSubject, *, beside: str = "") -> tuple[str, ...]:
    """Tell it in sentences.

    Parameters
    ----------
    subject
        As `describe` gives it, or a result that says as much.
    beside
        What the processor works beside, in front of its name.
    """
    rows, columns = subject.shape
    return (
        f"Detector: {subject.detector}, weights SHA-256 `{subject.weights_sha256[:16]}`, run by {subject.runtime}.",
        f"A series of {subject.slices} slices of {rows} x {columns} pixels: all of {subject.source}, repeated forth",
        f"and back. {beside}{subject.processor}, {subject.cores} cores, {subject.threads} threads;",
        f"{', '.join(f'{name} {version}' for name, version in subject.versions.items())}.",
    )
