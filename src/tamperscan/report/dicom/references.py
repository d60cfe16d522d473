"""References from results to source images."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from tamperscan.report.dicom.common import Job

_SOURCE_IMAGE = Code("121322", "DCM", "Source image for image processing operation")


def image_reference(job: Job, index: int) -> Dataset:
    """Refer to the image of one slice (PS3.3 table 10-3), and to the frame where it has several."""
    source = job.sources.slices[index]
    made = Dataset()
    made.ReferencedSOPClassUID = source.header.SOPClassUID
    made.ReferencedSOPInstanceUID = source.header.SOPInstanceUID
    if source.frame is not None:
        made.ReferencedFrameNumber = source.frame
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = _SOURCE_IMAGE.value, _SOURCE_IMAGE.scheme_designator
    purpose.CodeMeaning = _SOURCE_IMAGE.meaning
    made.PurposeOfReferenceCodeSequence = [purpose]
    return made
