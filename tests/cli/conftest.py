"""Small CT series to screen, and ways to run the command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from tamperscan.detect.results import Screening, Verdict
from tamperscan.scan.volume import Scan

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def write_ct_slice(path: Path, series: str, index: int, rng: np.random.Generator) -> None:
    """Write one noisy slice of 64 x 64 pixels of 1 mm, 2 mm thick."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.StudyInstanceUID = series, generate_uid(entropy_srcs=[series])
    dataset.Modality, dataset.PatientName, dataset.InstanceNumber = "CT", "Doe^Jane", index + 1
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, 2 * index], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [1, 1], 2
    dataset.Rows = dataset.Columns = 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = rng.normal(40, 20, (64, 64)).astype("<i2").tobytes()
    dataset.save_as(path)


@pytest.fixture
def ct_series(tmp_path: Path) -> Callable[[str], Path]:
    """Make a folder of four CT slices."""
    rng = np.random.default_rng(3)

    def make(name: str) -> Path:
        folder = tmp_path / "studies" / name
        folder.mkdir(parents=True)
        series = generate_uid()
        for index in range(4):
            write_ct_slice(folder / f"{index}.dcm", series, index, rng)
        return folder

    return make


@pytest.fixture
def tamperscan(tmp_path: Path) -> Command:
    """Run the command in a process of its own, as a user does, in an empty folder."""
    here = tmp_path / "here"
    here.mkdir()

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tamperscan.cli.main", *map(str, arguments)]
        surroundings = {**os.environ, **environment}
        return subprocess.run(command, capture_output=True, text=True, cwd=here, env=surroundings, check=False)

    return run


def screening_of(scan: Scan, verdict: Verdict) -> Screening:
    abstained = verdict == "abstained"
    return Screening(
        scan=scan,
        verdict=verdict,
        reasons=("Made up.",),
        score=float("nan") if abstained else 3.0,
        p_value=None if abstained else 0.02,
        alarm_rate=0.05,
        findings=(),
        slices=(),
        suspicion=np.zeros(scan.shape, np.float32),
        regions=np.zeros(scan.shape, bool),
        detector_name="made up",
        weights_sha256="",
    )


class MadeUpDetector:
    """Says of each scan what its name says; raises what it is named after.

    The packaged detector can't be made to fail at will, which a run over many has to bear.
    """

    def screen(self, scan: Scan, progress: object = None, alarm_rate: float | None = None) -> Screening:
        verdict = scan.name.split("-")[0]
        if verdict in ("clear", "suspicious", "abstained"):
            return screening_of(scan, verdict)  # type: ignore[arg-type]
        raise ValueError("the detector broke")


@pytest.fixture
def made_up_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tamperscan.load_detector", lambda name, **how: MadeUpDetector(), raising=False)
