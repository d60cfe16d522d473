"""Small series of every kind that hospitals have, made-up screenings of them, and a check by dciodvfy."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from dicom_maker import save
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tamperscan.detect.results import Finding, Screening, SliceResult
from tamperscan.report.dicom import DicomResults, write_dicom_results
from tamperscan.scan import Scan, read_scan

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
SIDE = 48
HARMLESS = (
    # Private codes are allowed (PS3.16 section 8.2); it knows only its own list.
    "Unrecognized defined term <99TAMPERSCAN>",
    # A term of PS3.3 C.8.16.1.4 that it does not know yet.
    "Unrecognized defined term <QUANTITY>",
    # What the source images left empty stays empty.
    "needed to build DICOMDIR",
    "Retired Person Name form",
)


def a_slice(index: int, **changes: object) -> Dataset:
    """A whole CT image as a scanner writes it; ``None`` leaves an attribute out."""
    plane = np.random.default_rng(index).normal(-700, 40, (SIDE, SIDE)).astype("<i2")
    facts: dict[str, object] = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"1.2.826.0.1.3680043.8.498.3.{index + 1}",
        "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
        "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
        "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.4",
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": "Doe^Jane",
        "PatientID": "JD-7",
        "PatientBirthDate": "19500102",
        "PatientSex": "F",
        "StudyDate": "20260228",
        "StudyTime": "101500",
        "StudyID": "S1",
        "AccessionNumber": "A-99",
        "ReferringPhysicianName": "",
        "Modality": "CT",
        "SeriesNumber": 3,
        "InstanceNumber": index + 1,
        "BodyPartExamined": "CHEST",
        "ImagePositionPatient": [-20, -30, 2.5 * index],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": [0.8, 0.7],
        "SliceThickness": 2.5,
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Rows": SIDE,
        "Columns": SIDE,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
        "PixelData": plane.tobytes(),
        **changes,
    }
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword, value in facts.items():
        if value is not None:
            setattr(made, keyword, value)
    made["PixelData"].VR = "OW"
    return made


def a_screening(scan: Scan, **changes: object) -> Screening:
    """A made-up screening with two findings that overlap."""
    slices = scan.shape[0]
    regions = np.zeros(scan.shape, bool)
    regions[:, 6:-6, 6:-6] = True
    suspicion = np.where(regions, np.float32(1), np.float32(0))
    middle = slices // 2
    low, high = max(0, middle - 1), min(slices - 1, middle + 1)
    suspicion[low : high + 1, 20:30, 18:26] = 6.0
    suspicion[middle, 24, 22] = 7.0
    findings = tuple(
        Finding(centre, (2.5 * (high - low + 1), 8.0, 5.6), 7.0, p_value, (low, high), sign, "Made up.")
        for centre, p_value, sign in (((middle, 24, 22), 0.02, "too smooth"), ((middle, 27, 24), 0.3, "like rain"))
    )
    facts: dict[str, object] = {
        "scan": scan,
        "verdict": "suspicious",
        "reasons": ("About 2 of 100 authentic scans score as high.",),
        "score": 7.0,
        "p_value": 0.02,
        "alarm_rate": 0.05,
        "findings": findings,
        "slices": tuple(SliceResult(index, float(suspicion[index].max()), 0.5, (24, 22)) for index in range(slices)),
        "suspicion": suspicion,
        "regions": regions,
        "detector_name": "ct",
        "weights_sha256": "cd" * 32,
        "settings": {"head": "combined"},
    }
    return Screening(**(facts | changes))  # type: ignore[arg-type]


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., Scan]:
    """Write a series and read it as a scan: ``changes`` hold for every slice, ``each`` is asked for more of one."""

    def make(count: int = 5, each: Callable[[int], dict[str, object]] = lambda index: {}, **changes: object) -> Scan:
        folder = tmp_path / "series"
        for index in range(count):
            save(a_slice(index, **changes, **each(index)), folder / f"{index:03}.dcm")
        return read_scan(folder)

    return make


@pytest.fixture
def screened(series: Callable[..., Scan]) -> Screening:
    return a_screening(series())


@pytest.fixture
def results(screened: Screening, tmp_path: Path) -> DicomResults:
    """Results of the made-up screening, without pictures, which take most of the time."""
    return write_dicom_results(screened, tmp_path / "dicom", now=NOW, pictures={})


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., DicomResults]:
    """Write a screening's results, without pictures."""

    def call(screening: Screening, folder: str = "dicom", now: datetime = NOW) -> DicomResults:
        return write_dicom_results(screening, tmp_path / folder, now=now, pictures={})

    return call


def complaints(path: Path) -> list[str]:
    """What dciodvfy says against a file, without what is harmless."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (Debian's dicom3tools) is not installed")
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (run.stdout + run.stderr).splitlines()
    found = [line for line in lines if line.startswith(("Error", "Warning"))]
    return [line for line in found if not any(known in line for known in HARMLESS)]


@pytest.fixture(name="complaints")
def complaints_fixture() -> Callable[[Path], list[str]]:
    return complaints


@pytest.fixture
def screen() -> Callable[..., Screening]:
    return a_screening
