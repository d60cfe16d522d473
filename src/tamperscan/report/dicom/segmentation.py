"""The findings as a Segmentation (PS3.3 A.51): binary, one segment a finding, which may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from tamperscan.report.dicom.codes import PLACE, SPATIAL_CONCEPT
from tamperscan.report.dicom.common import NOT_FOR_DIAGNOSIS, Job, plain_text, quietly, write
from tamperscan.report.dicom.stand_ins import restore_references, stand_ins
from tamperscan.report.dicom.uids import Kind
from tamperscan.report.places import Place, finding_masks
from tamperscan.report.wording import is_alarming

FILE: Final = "findings.dcm"

# Okabe and Ito's vermilion and sky blue, which people with any kind of colour vision can tell apart.
_ALARMING_RGB: Final = (213, 94, 0)
_OTHER_RGB: Final = (86, 180, 233)


def write_segmentation(job: Job) -> Path:
    """Write the findings of a screening that has some, as ``findings.dcm``.

    Raises
    ------
    OutputError
        Where it can't be written.
    """
    scan = job.screening.scan
    places = list(finding_masks(job.screening))
    indices = sorted({index for place in places for index in place.slices})
    with quietly():
        made = hd.seg.Segmentation(
            source_images=stand_ins(job.sources, indices, scan.modality, scan.shape[1:]),
            pixel_array=_pixels(places, indices, scan.shape[1:]),
            segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
            segment_descriptions=_segments(job),
            content_label="FINDINGS",
            content_description=f"Places that differ from authentic scans. {NOT_FOR_DIAGNOSIS}"[:64],
            **job.instance(Kind.FINDINGS),
        )
    made.ContentCreatorName = ""  # nobody, but it must be there (PS3.3 table 10-12)
    restore_references(made, job.sources)
    return write(made, job, FILE)


def _pixels(places: Sequence[Place], indices: Sequence[int], sides: tuple[int, int]) -> NDArray[np.uint8]:
    """Masks of the slices that hold a finding, uint8 ``[slice, row, column, finding]``."""
    pixels = np.zeros((len(indices), *sides, len(places)), np.uint8)
    slot = {index: number for number, index in enumerate(indices)}
    for number, place in enumerate(places):
        for index, plane in zip(place.slices, place.mask, strict=True):
            pixels[slot[index], place.box[1], place.box[2], number] = plane
    return pixels


def _segments(job: Job) -> list[hd.seg.SegmentDescription]:
    screening = job.screening
    return [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=plain_text(f"Finding {number}: {finding.sign}")[:64],
            segmented_property_category=SPATIAL_CONCEPT,
            segmented_property_type=PLACE,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=job.algorithm(),
            tracking_uid=job.names.uid(f"finding {number}"),
            tracking_id=f"Finding {number}",
            display_color=_colour(is_alarming(finding.p_value, screening.alarm_rate)),
        )
        for number, finding in enumerate(screening.findings, start=1)
    ]


def _colour(alarming: bool) -> hd.color.CIELabColor:
    return hd.color.CIELabColor.from_rgb(*(_ALARMING_RGB if alarming else _OTHER_RGB))
