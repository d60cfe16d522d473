"""The suspicion map as a Parametric Map (PS3.3 A.75): 32-bit floats on the grid of the source images.

A Parametric Map and no fractional Segmentation: OHIF and 3D Slicer show the former as a coloured overlay, and refuse
or threshold the latter. What they want of it shapes the file: 32-bit floats (dcmqi, through which 3D Slicer reads,
takes nothing else), a frame for every slice and of the size of its image (OHIF lays them on its volume one after the
other), in the order in which the slices lie along their normal (both), and an anatomic region (dcmqi).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import highdicom as hd
import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from tamperscan.files import scratch_file
from tamperscan.report.dicom.codes import BODY_PARTS, NO_UNITS, SUSPICION, WHOLE_BODY
from tamperscan.report.dicom.common import NOT_FOR_DIAGNOSIS, Job, quietly, write
from tamperscan.report.dicom.stand_ins import restore_references, stand_ins
from tamperscan.report.dicom.uids import Kind

FILE: Final = "suspicion.dcm"
_FLOAT_PIXEL_DATA: Final = Tag(0x7FE00008)


def write_suspicion_map(job: Job) -> Path:
    """Write the map of a screening that measured something, as ``suspicion.dcm``.

    Raises
    ------
    OutputError
        Where it can't be written.
    """
    screening = job.screening
    slices, rows, columns = screening.scan.shape
    highest = float(screening.suspicion.max(initial=0.0, where=screening.regions))
    with quietly():
        made = hd.pm.ParametricMap(
            source_images=stand_ins(job.sources, range(slices), screening.scan.modality, (1, 1)),
            # One voxel a frame stands for the slice: highdicom would hold all of them in memory several times.
            pixel_array=np.zeros((slices, 1, 1), np.float32),
            contains_recognizable_visual_features=False,
            real_world_value_mappings=[_mapping(highest)],
            voi_lut_transformations=[
                hd.VOILUTTransformation(window_center=highest / 2, window_width=max(highest, 1e-3))
            ],
            content_label="SUSPICION",
            content_description=f"How unlike authentic scans. {NOT_FOR_DIAGNOSIS}",
            **job.instance(Kind.SUSPICION),
        )
    made.ContentCreatorName = ""  # nobody, but it must be there (PS3.3 table 10-12)
    _sort_frames(made, job)
    _state_anatomy(made, job)
    restore_references(made, job.sources)
    made.Rows, made.Columns = rows, columns
    with _pixels(job) as pixels:
        made[_FLOAT_PIXEL_DATA] = DataElement(_FLOAT_PIXEL_DATA, "OF", pixels)
        return write(made, job, FILE)


def _mapping(highest: float) -> hd.pm.RealWorldValueMapping:
    return hd.pm.RealWorldValueMapping(
        lut_label="suspicion",
        lut_explanation="Suspicion; larger is less like authentic scans",
        unit=NO_UNITS,
        value_range=(0.0, max(highest, 1e-3)),
        slope=1.0,
        intercept=0.0,
        quantity_definition=SUSPICION,
    )


def _sort_frames(made: hd.pm.ParametricMap, job: Job) -> None:
    """Put the frames in the order of the slices; highdicom sorts them the other way.

    OHIF and dcmqi take frames as they come, and stack them along the cross product of the row's and the column's
    direction, as the scan's slices are. A map in the other order is shown upside down.
    """
    places = np.array([slice_.position for slice_ in job.sources.slices])
    groups: dict[int, Dataset] = {}
    for group in made.PerFrameFunctionalGroupsSequence:
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        groups[int(np.argmin(np.abs(places - place).sum(axis=1)))] = group
    for index, group in groups.items():
        group.FrameContentSequence[0].DimensionIndexValues = [index + 1]
    made.PerFrameFunctionalGroupsSequence = [groups[index] for index in sorted(groups)]


def _state_anatomy(made: hd.pm.ParametricMap, job: Job) -> None:
    """State the region (PS3.3 C.7.6.16.2.8): an optional group, without which dcmqi ends with a segmentation fault."""
    region = BODY_PARTS.get(str(job.sources.body_part.get("BodyPartExamined", "")).upper(), WHOLE_BODY)
    laterality = str(job.sources.body_part.get("Laterality", ""))
    anatomy = Dataset()
    anatomy.FrameLaterality = laterality if laterality in ("L", "R") else "U"
    anatomy.AnatomicRegionSequence = [hd.sr.CodedConcept.from_code(region)]
    made.SharedFunctionalGroupsSequence[0].FrameAnatomySequence = [anatomy]


@contextmanager
def _pixels(job: Job) -> Iterator[BinaryIO]:
    """Put the map's frames one after the other into a file, 0 where nothing was measured."""
    screening = job.screening
    with scratch_file(job.folder) as file:
        for plane, looked in zip(screening.suspicion, screening.regions, strict=True):
            file.write(np.where(looked, plane, np.float32(0)).astype("<f4").data)
        file.seek(0)
        yield file
