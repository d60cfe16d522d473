"""The report as Encapsulated PDF (PS3.3 A.45.1)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from highdicom import SOPClass
from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from tamperscan.report.dicom.common import NOT_FOR_DIAGNOSIS, Job, quietly, write
from tamperscan.report.dicom.uids import Kind
from tamperscan.report.pdf import render_pdf
from tamperscan.report.schema import ScreeningDocument

FILE: Final = "document.dcm"


def write_document(job: Job, document: ScreeningDocument, pictures: Mapping[str, bytes]) -> Path:
    """Write the report for people, as ``document.dcm``.

    Raises
    ------
    OutputError
        Where it can't be written.
    """
    with quietly():
        made = SOPClass(
            study_instance_uid=job.sources.first.StudyInstanceUID,
            sop_class_uid=EncapsulatedPDFStorage,
            modality="DOC",
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **job.instance(Kind.DOCUMENT),
        )
    made.ConversionType = "WSD"
    # The pages say nothing of the patient, which is what this attribute asks (PS3.3 C.24.2).
    made.BurnedInAnnotation = "NO"
    made.AcquisitionDateTime = ""
    made.DocumentTitle = f"Screening for tampering. {NOT_FOR_DIAGNOSIS}"
    made.ConceptNameCodeSequence = []
    made.SourceInstanceSequence = [_reference(header) for header in job.sources.images]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    pdf = render_pdf(document, pictures)
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return write(made, job, FILE)


def _reference(header: Dataset) -> Dataset:
    """Refer to a whole instance (PS3.3 table 10-11)."""
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return made
