"""``screening.json``: what a machine receives of a screening.

The models below are the format; :func:`json_schema` turns them into the JSON Schema that
``docs/reference/screening-schema.json`` holds. Fields may be added within version 1; a field that is renamed,
removed or given another meaning makes it version 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from tamperscan.detect.results import Finding, Screening, SliceResult
from tamperscan.scan.volume import Scan

SCHEMA_VERSION: Literal["1.0"] = "1.0"
DISCLAIMER = (
    "Research software, not a medical device, not for diagnosis. A screening says how much a scan differs "
    "from authentic scans; it names neither a cause nor a person, and a clear result does not show that a "
    "scan is authentic."
)
# What a reader needs to judge the acquisition; free text that could name a person stays out.
METADATA_KEYS = (
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "StationName",
    "BodyPartExamined",
    "StudyDate",
    "ConvolutionKernel",
    "KVP",
    "SliceThickness",
    "XRayTubeCurrent",
    "Exposure",
    "ReconstructionDiameter",
    "FilterType",
    "MagneticFieldStrength",
    "ScanningSequence",
    "SequenceName",
    "EchoTime",
    "RepetitionTime",
    "FlipAngle",
    "ImageType",
    "PhotometricInterpretation",
    "BitsStored",
    "TransferSyntaxUID",
    "LossyImageCompression",
    "SOPClassUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
)

Probability = Annotated[float, Field(ge=0, le=1)]
Voxel = tuple[int, int, int]
Millimetres = tuple[float, float, float]


class _Part(BaseModel):
    """A part of the document: closed, immutable, and free of NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ScanFacts(_Part):
    """Which scan was screened."""

    name: str = Field(description="Short name of the scan; also the name of its folder.")
    modality: str = Field(description="DICOM modality, CT or MR.")
    shape: Voxel = Field(description="Number of slices, rows and columns.")
    spacing_mm: Millimetres = Field(description="Voxel spacing along slice, row and column, in mm.")
    sources: list[str] = Field(description="Names of the files read, in slice order, without their folders.")
    pixel_sha256: str = Field(
        description="SHA-256 of the pixel data as read: the shape, then voxels as little-endian float32."
    )
    warnings: list[str] = Field(description="What was unusual about the input, one sentence each.")
    metadata: dict[str, str] = Field(description="Facts about the acquisition, by DICOM keyword.")


class DetectorFacts(_Part):
    """Which detector it was, and what else the result depends on."""

    name: str
    weights_sha256: str = Field(description="SHA-256 of the network's weights; empty where there are none.")
    settings: dict[str, Any] = Field(description="Noise levels, window sizes, calibration and the like.")


class FindingFacts(_Part):
    """A place in the scan that differs from what authentic scans look like."""

    centre: Voxel = Field(description="Voxel index (slice, row, column) of the place, counted from 0.")
    centre_mm: Millimetres = Field(description="The same place in patient coordinates (DICOM LPS), in mm.")
    size_mm: Millimetres = Field(description="Extent along slice, row and column, in mm.")
    slice_range: tuple[int, int] = Field(description="First and last slice of the place, both included.")
    sign: str = Field(description='Which way it differs, such as "too smooth" or "too noisy".')
    score: float | None = Field(description="Suspicion at the centre; larger is more suspicious.")
    p_value: Probability | None = Field(
        description="Chance that an authentic scan of as many slices has a place this suspicious anywhere."
    )
    evidence: str = Field(description="What was measured there, one sentence.")


class SliceFacts(_Part):
    """One slice's result; all null where nothing could be measured."""

    index: int = Field(description="Slice index, counted from 0.")
    score: float | None = Field(description="Highest suspicion in the slice.")
    p_value: Probability | None = Field(description="Chance of such a score on an authentic slice.")
    peak: tuple[int, int] | None = Field(description="(row, column) of the highest suspicion.")


class FileNames(_Part):
    """The files that lie beside the document, as names in its folder; null where one was not written."""

    report: str | None = Field(default=None, description="The page for people.")
    slices: str | None = Field(default=None, description="Picture: score of each slice along the scan.")
    comparison: str | None = Field(default=None, description="Picture: this scan among authentic ones.")
    findings: list[str] = Field(default_factory=list, description="Pictures of the findings, in their order.")
    suspicion: str | None = Field(
        default=None,
        description='NumPy archive; "suspicion" is float16 [slice, row, column] on the scan\'s grid.',
    )
    dicom: list[str] = Field(default_factory=list, description="DICOM results, where they were asked for.")
    nifti: list[str] = Field(default_factory=list, description="NIfTI files, where they were asked for.")


class ScreeningDocument(_Part):
    """The result of screening one scan, as ``screening.json`` states it."""

    schema_version: Literal["1.0"] = Field(description="Version of this format.")
    tamperscan_version: str
    created: datetime = Field(description="When the document was made, UTC.")
    scan: ScanFacts
    detector: DetectorFacts
    verdict: Literal["clear", "suspicious", "abstained"]
    reasons: list[str] = Field(description="Why the verdict is what it is, one sentence each.")
    score: float | None = Field(description="Larger is more suspicious; null where the detector abstained.")
    p_value: Probability | None = Field(
        description="Chance of such a score on an authentic scan; null where the detector abstained."
    )
    alarm_rate: Probability = Field(description="The verdict is suspicious where p_value is at or under this.")
    findings: list[FindingFacts] = Field(description="Most suspicious first.")
    slices: list[SliceFacts] = Field(description="One entry a slice, in slice order.")
    files: FileNames
    seconds: float = Field(description="Wall time of the screening, in seconds.")
    disclaimer: str


def screening_document(screening: Screening, files: FileNames | None = None) -> ScreeningDocument:
    """State a screening as the document that ``screening.json`` holds.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    files
        Names of the files that are written beside the document.

    Returns
    -------
    ScreeningDocument
        With null for every number that is not finite, and names of files without their folders.
    """
    return ScreeningDocument(
        schema_version=SCHEMA_VERSION,
        tamperscan_version=package_version(),
        created=datetime.now(UTC).replace(microsecond=0),
        scan=_scan_facts(screening.scan),
        detector=DetectorFacts(
            name=screening.detector_name,
            weights_sha256=screening.weights_sha256,
            settings={str(key): plain(value) for key, value in screening.settings.items()},
        ),
        verdict=screening.verdict,
        reasons=list(screening.reasons),
        score=finite(screening.score),
        p_value=finite(screening.p_value),
        alarm_rate=float(screening.alarm_rate),
        findings=[_finding_facts(finding, screening.scan) for finding in screening.findings],
        slices=[_slice_facts(result) for result in screening.slices],
        files=files or FileNames(),
        seconds=round(float(screening.seconds), 3),
        disclaimer=DISCLAIMER,
    )


def json_schema() -> dict[str, Any]:
    """Give the JSON Schema (draft 2020-12) of ``screening.json``."""
    schema = ScreeningDocument.model_json_schema(mode="serialization")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "tamperscan screening",
    }


def package_version() -> str:
    """Version of the installed package, ``"unknown"`` where it runs uninstalled."""
    try:
        return version("tamperscan")
    except PackageNotFoundError:
        return "unknown"


def patient_position_mm(scan: Scan, voxel: tuple[float, float, float]) -> Millimetres:
    """Position of a voxel in the patient, in mm along the DICOM axes (left, posterior, superior).

    Parameters
    ----------
    scan
        The scan, whose affine is used.
    voxel
        Voxel index (slice, row, column).
    """
    x, y, z, _ = np.asarray(scan.affine, dtype=np.float64) @ np.array([*voxel, 1.0])
    return round(float(x), 2), round(float(y), 2), round(float(z), 2)


def finite(value: float | None) -> float | None:
    """Round to six significant digits; None for None, NaN and infinities, which JSON has no word for."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{float(value):.6g}")


def plain(value: object) -> Any:
    """Turn a setting into what JSON can hold: arrays to lists, paths to file names, NaN to None."""
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value.name if isinstance(value, PurePath) else str(value)


def _scan_facts(scan: Scan) -> ScanFacts:
    slices, rows, columns = scan.shape
    along_slice, along_row, along_column = (float(step) for step in scan.spacing_mm)
    return ScanFacts(
        name=scan.name,
        modality=scan.modality,
        shape=(slices, rows, columns),
        spacing_mm=(along_slice, along_row, along_column),
        sources=[Path(source).name for source in scan.sources],
        pixel_sha256=scan.sha256,
        warnings=list(scan.warnings),
        metadata={key: str(scan.metadata[key]) for key in METADATA_KEYS if key in scan.metadata},
    )


def _finding_facts(finding: Finding, scan: Scan) -> FindingFacts:
    slice_, row, column = (int(index) for index in finding.centre)
    depth, height, width = (round(float(extent), 2) for extent in finding.size_mm)
    first, last = (int(index) for index in finding.slice_range)
    return FindingFacts(
        centre=(slice_, row, column),
        centre_mm=patient_position_mm(scan, (slice_, row, column)),
        size_mm=(depth, height, width),
        slice_range=(first, last),
        sign=finding.sign,
        score=finite(finding.score),
        p_value=finite(finding.p_value),
        evidence=finding.evidence,
    )


def _slice_facts(result: SliceResult) -> SliceFacts:
    peak = None if result.peak is None else (int(result.peak[0]), int(result.peak[1]))
    return SliceFacts(index=int(result.index), score=finite(result.score), p_value=finite(result.p_value), peak=peak)
