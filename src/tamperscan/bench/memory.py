"""How much memory a screening of a long scan takes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tamperscan.scan import Scan

# A process starts with the peak memory of the one that made it, so a small one stands in between.
_LAUNCHER = """
import json, resource, subprocess, sys, time
begun = time.monotonic()
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([done.returncode, time.monotonic() - begun, peak, done.stderr[-500:]]))
"""


@dataclass(frozen=True)
class Memory:
    """What a screening of a long scan takes, in a process of its own.

    Attributes
    ----------
    slices
        Number of slices.
    peak_mb
        Largest resident memory of the process, in 10^6 bytes.
    seconds
        Wall time of the whole command.
    """

    slices: int
    peak_mb: float
    seconds: float


def measure_memory(scan: Scan, detector: str, slices: int, missing: list[str]) -> Memory | None:
    """Screen a long series in a process of its own, and take its peak memory.

    Parameters
    ----------
    scan
        Its slices are repeated.
    detector
        A packaged detector or a folder.
    slices
        Number of slices; 0 for not at all.
    missing
        Is told why there is no result.
    """
    if slices < 1:
        return None
    if sys.platform not in ("linux", "darwin"):
        missing.append("Memory: this system does not tell the peak of a process.")
        return None
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        write_series(study, scan, slices)
        command = [sys.executable, "-m", "tamperscan", "screen", str(study), "--no-pictures", "--json"]
        command += ["--detector", detector, "--out", str(Path(folder) / "out")]
        done = subprocess.run([sys.executable, "-c", _LAUNCHER, *command], capture_output=True, text=True, check=True)
    code, seconds, peak, told = json.loads(done.stdout)
    if code:
        missing.append(f"Memory: the screening ended with {code} ({' '.join(told.split())}).")
        return None
    return Memory(slices, peak * (1024 if sys.platform == "linux" else 1) / 1e6, seconds)


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
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, f"{series}.1"
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
