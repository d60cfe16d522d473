"""A whole command on a long scan: from its start to the report, in a process of its own."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tamperscan.bench.process_tree import POSSIBLE, Ended, watch
from tamperscan.scan import Scan


@dataclass(frozen=True)
class CommandRun:
    """What ``tamperscan screen`` took on a long scan, report and pictures included.

    Attributes
    ----------
    slices
        Number of slices.
    seconds
        Wall time of each run.
    processor_seconds
        Of all its processes, for each run.
    peak_mb
        Largest memory of all its processes together, in 10^6 bytes, of any run.
    load
        The machine's load average of the last minute before each run.
    """

    slices: int
    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...]
    peak_mb: float
    load: tuple[float, ...]

    @property
    def median_seconds(self) -> float:
        """The median wall time."""
        return statistics.median(self.seconds)


def time_command(
    study: Path, detector: str, slices: int, repeats: int, missing: list[str], report: Callable[[], None]
) -> CommandRun | None:
    """Screen a series in a process of its own, as often as asked.

    Parameters
    ----------
    study
        Its folder.
    detector
        A packaged detector or a folder.
    slices
        Number of slices in it.
    repeats
        How often.
    missing
        Is told why there is no result.
    report
        Called after each run.
    """
    if not POSSIBLE:
        missing.append("The whole command: this system does not tell the memory of processes.")
        return None
    runs: list[Ended] = []
    load = []
    for _ in range(repeats):
        load.append(os.getloadavg()[0])
        with tempfile.TemporaryDirectory() as out:
            words = ["screen", str(study), "--json", "--detector", detector, "--out", out]
            runs.append(watch([sys.executable, "-m", "tamperscan", *words]))
        report()
        if runs[-1].status:
            missing.append(f"The whole command: ended with {runs[-1].status} ({' '.join(runs[-1].said.split())}).")
            return None
    return CommandRun(
        slices,
        tuple(run.seconds for run in runs),
        tuple(run.processor_seconds for run in runs),
        max(run.peak_mb for run in runs),
        tuple(load),
    )


def write_series(folder: Path, scan: Scan, slices: int) -> None:
    """Write a CT series of uncompressed DICOM files that repeats a scan's slices."""
    folder.mkdir(parents=True)
    series = generate_uid()
    for index in range(slices):
        _write_slice(folder / f"{index:04}.dcm", scan, index, series)


def _write_slice(path: Path, scan: Scan, index: int, series: str) -> None:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, generate_uid(entropy_srcs=[series])
    dataset.Modality, dataset.InstanceNumber = "CT", index + 1
    dataset.ImagePositionPatient = [0, 0, index * scan.spacing_mm[0]]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = list(scan.spacing_mm[1:]), scan.spacing_mm[0]
    _, dataset.Rows, dataset.Columns = scan.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = scan.voxels[index % scan.shape[0]].round().astype("<i2").tobytes()
    dataset.save_as(path)
