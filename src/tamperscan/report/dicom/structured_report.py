"""The result as a Structured Report: TID 1500 (PS3.16) in a Comprehensive 3D SR (PS3.3 A.35.13)."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Final

import highdicom as hd
import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    ContentItem,
    ImageRegion,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegment,
    RelationshipTypeValues,
    Scoord3DContentItem,
    SourceImageForRegion,
    SourceImageForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from tamperscan.detect.results import Finding
from tamperscan.report.dicom import codes
from tamperscan.report.dicom.common import MANUFACTURER, NOT_FOR_DIAGNOSIS, Job, plain_text, quietly, write
from tamperscan.report.dicom.sources import SourceSlice
from tamperscan.report.dicom.uids import Kind
from tamperscan.report.schema import finite, package_version
from tamperscan.report.wording import RESEARCH_USE, limits_of

FILE: Final = "report.dcm"
_SMALLEST_RADIUS_PX: Final = 4.0

Group = (
    MeasurementsAndQualitativeEvaluations
    | VolumetricROIMeasurementsAndQualitativeEvaluations
    | PlanarROIMeasurementsAndQualitativeEvaluations
)


def write_structured_report(job: Job, *, segmented: bool) -> Path:
    """Write the report, as ``report.dcm``.

    Parameters
    ----------
    job
        The screening.
    segmented
        Whether the findings have a Segmentation, which the report then refers to.

    Raises
    ------
    OutputError
        Where it can't be written.
    """
    with quietly():
        findings = [_finding_group(job, number, segmented) for number in range(1, len(job.screening.findings) + 1)]
        report = MeasurementReport(
            observation_context=_observer(job),
            procedure_reported=codes.MR_PROCEDURE if job.screening.scan.modality == "MR" else codes.CT_PROCEDURE,
            imaging_measurements=[_scan_group(job), *findings],
            title=codes.REPORT_TITLE,
        )
        made = Comprehensive3DSR(
            evidence=[*job.sources.images, *([_segmentation(job)] if segmented else [])],
            content=report[0],
            is_complete=True,
            **job.instance(Kind.REPORT),
        )
    return write(made, job, FILE)


def _observer(job: Job) -> hd.sr.ObservationContext:
    """Say that a device observed this, and no person (TID 1001, 1004)."""
    equipment = job.equipment()
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=job.names.uid("observer"),
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=equipment["manufacturer_model_name"],
        serial_number=equipment["device_serial_number"],
    )
    context = hd.sr.ObserverContext(
        observer_type=hd.sr.CodedConcept.from_code(codes.DEVICE), observer_identifying_attributes=device
    )
    return hd.sr.ObservationContext(observer_device_context=context)


def _scan_group(job: Job) -> Group:
    """State the verdict on the whole scan, and all that it depends on (TID 1501)."""
    screening = job.screening
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=job.names.uid("scan"), identifier="Scan"),
        finding_type=codes.SCREENING,
        algorithm_id=_algorithm(job),
        measurements=_numbers(
            (codes.SCORE, finite(screening.score), codes.NO_UNITS),
            (codes.P_VALUE, finite(screening.p_value), codes.NO_UNITS),
            (codes.ALARM_RATE, screening.alarm_rate, codes.NO_UNITS),
        ),
        qualitative_evaluations=[QualitativeEvaluation(codes.VERDICT, codes.VERDICTS[screening.verdict])],
    )
    texts = [
        *((codes.REASON, reason) for reason in screening.reasons),
        (codes.WEIGHTS, screening.weights_sha256 or "none"),
        (codes.PIXELS, screening.scan.sha256),
        (codes.COMMENT, f"{NOT_FOR_DIAGNOSIS}. {RESEARCH_USE}"),
        *((codes.COMMENT, f"Note: {warning}") for warning in screening.scan.warnings),
        *((codes.LIMIT, limit) for limit in limits_of(screening.scan.modality)),
    ]
    _append(group, [_text(name, value) for name, value in texts if value])
    return group


def _finding_group(job: Job, number: int, segmented: bool) -> Group:
    """State one finding: its place, size, evidence (TID 1411 with a segment, TID 1410 with a circle in an image)."""
    finding = job.screening.findings[number - 1]
    slices, rows, columns = (round(extent, 2) for extent in finding.size_mm)
    facts: dict[str, Any] = {
        "tracking_identifier": TrackingIdentifier(
            uid=job.names.uid(f"finding {number}"), identifier=f"Finding {number}"
        ),
        "finding_type": codes.PLACE,
        "algorithm_id": _algorithm(job),
        "measurements": _numbers(
            (codes.SCORE, finite(finding.score), codes.NO_UNITS),
            (codes.P_VALUE, finite(finding.p_value), codes.NO_UNITS),
            (codes.SIZE_ACROSS_SLICES, slices, codes.MILLIMETRE),
            (codes.SIZE_ACROSS_ROWS, rows, codes.MILLIMETRE),
            (codes.SIZE_ACROSS_COLUMNS, columns, codes.MILLIMETRE),
        ),
        "qualitative_evaluations": [QualitativeEvaluation(codes.SIGN, codes.SIGNS.get(finding.sign, codes.OTHER_SIGN))],
    }
    if segmented:
        segment = _segment(job, number, finding)
        group: Group = VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **facts)
        _append(group, [_centre(job, finding)])
    else:
        group = PlanarROIMeasurementsAndQualitativeEvaluations(referenced_region=_circle(job, finding), **facts)
    said = f"{finding.sign}. {finding.evidence}" if finding.sign not in codes.SIGNS else finding.evidence
    _append(group, [_text(codes.EVIDENCE, said)] if said else [])
    return group


def _algorithm(job: Job) -> AlgorithmIdentification:
    """Identify the algorithm (TID 4019)."""
    return AlgorithmIdentification(
        name=job.equipment()["manufacturer_model_name"],
        version=package_version(),
        parameters=[f"{name}={value}" for name, value in job.parameters().items()],
        family=codes.ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )


def _numbers(*measured: tuple[Code, float | None, Code]) -> list[Measurement]:
    """Make measurements of what is known."""
    return [Measurement(name=name, value=value, unit=unit) for name, value, unit in measured if value is not None]


def _segment(job: Job, number: int, finding: Finding) -> ReferencedSegment:
    first, last = finding.slice_range
    images = [_reference(job.sources.slices[index]) for index in range(first, last + 1)]
    return ReferencedSegment(
        sop_class_uid=SegmentationStorage,
        sop_instance_uid=job.names.instance_uid(Kind.FINDINGS),
        segment_number=number,
        source_images=[SourceImageForSegmentation(*image) for image in images],
    )


def _reference(source: SourceSlice) -> tuple[str, str, list[int] | None]:
    frames = None if source.frame is None else [source.frame]
    return source.header.SOPClassUID, source.header.SOPInstanceUID, frames


def _centre(job: Job, finding: Finding) -> Scoord3DContentItem:
    """State the centre in the patient (LPS, mm), from the position of its own slice: gaps and tilt don't matter."""
    slice_, row, column = finding.centre
    axes = np.array(job.sources.orientation).reshape(2, 3)
    down, along = job.sources.spacing or (1.0, 1.0)
    place = np.array(job.sources.slices[slice_].position) + axes[0] * column * along + axes[1] * row * down
    return Scoord3DContentItem(
        name=codes.CENTER,
        graphic_type=hd.sr.GraphicTypeValues3D.POINT,
        graphic_data=place[None],
        frame_of_reference_uid=job.sources.first.FrameOfReferenceUID,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )


def _circle(job: Job, finding: Finding) -> ImageRegion:
    """Mark the finding in its image; the centre of the first pixel is at (0.5, 0.5) (PS3.3 C.18.6.1.1)."""
    slice_, row, column = finding.centre
    scan = job.screening.scan
    radius = max(
        _SMALLEST_RADIUS_PX, *(size / step / 2 for size, step in zip(finding.size_mm, scan.spacing_mm, strict=True))
    )
    centre = (column + 0.5, row + 0.5)
    return ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.CIRCLE,
        graphic_data=np.array([centre, (centre[0] + radius, centre[1])]),
        source_image=SourceImageForRegion(*_reference(job.sources.slices[slice_])),
    )


def _text(name: Code, value: str) -> TextContentItem:
    return TextContentItem(name=name, value=plain_text(value), relationship_type=RelationshipTypeValues.CONTAINS)


def _append(group: Group, items: list[ContentItem]) -> None:
    group[0].ContentSequence.extend(items)


def _segmentation(job: Job) -> Dataset:
    """Make a header of the Segmentation, to be named among the evidence."""
    made = copy.deepcopy(job.sources.first)
    made.SOPClassUID, made.SOPInstanceUID = SegmentationStorage, job.names.instance_uid(Kind.FINDINGS)
    made.SeriesInstanceUID = job.names.series_uid(Kind.FINDINGS)
    return made
