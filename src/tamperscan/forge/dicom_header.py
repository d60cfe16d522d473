"""Marking a DICOM header as forged: new UIDs, remarks, and nothing left by which it could pass for the patient's."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage, MRImageStorage, generate_uid

from tamperscan.forge.forgery import Record
from tamperscan.scan.attributes import Attributes
from tamperscan.scan.forged import CODE, REMARK

WARNING: Final = (
    "Forged on purpose, to measure detectors of tampering. Never send it to a PACS, and never pass it on as authentic."
)
"""What everything that is written about a forged scan says."""

_PREFIX: Final = "FORGED"
_LONGEST: Final = 64
# What would lead an archive to the patient or the order, is a promise about other pixels, or shows the authentic image.
_DROPPED: Final = (
    "AccessionNumber",
    "DigitalSignaturesSequence",
    "IconImageSequence",
    "IssuerOfPatientIDQualifiersSequence",
    "LargestImagePixelValue",
    "LargestPixelValueInSeries",
    "MACParametersSequence",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "RequestAttributesSequence",
    "SmallestImagePixelValue",
    "SmallestPixelValueInSeries",
)
# Type 2: must be there, and may be empty (PS3.3 C.7.2.1).
_EMPTY: Final = ("AccessionNumber",)
_FRAME_TYPES: Final = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence")
_SOURCE_IMAGE: Final = ("121322", "DCM", "Source image for image processing operation")


def mark_forged(dataset: Dataset, record: Record, number: int, *, lossy: bool) -> None:
    """Mark a data set as forged, in place.

    The new UIDs follow from the forged pixels: the same forgery gets the same ones again.

    Parameters
    ----------
    dataset
        A copy of an authentic image's header; its pixels are of no matter here.
    record
        What was done to the scan.
    number
        Which file of the series this is, from 1.
    lossy
        Whether the authentic pixels went through lossy compression, which the new encoding no longer tells.
    """
    if not Attributes(dataset).text("SOPClassUID"):
        dataset.SOPClassUID = CTImageStorage if record.source["modality"] == "CT" else MRImageStorage
    _name_source(dataset)
    _give_uids(dataset, record, number)
    for keyword in _DROPPED:
        if keyword in dataset:
            delattr(dataset, keyword)
    for keyword in _EMPTY:
        setattr(dataset, keyword, "")
    for keyword in ("PatientName", "PatientID", "StudyDescription"):
        setattr(dataset, keyword, f"{_PREFIX} {dataset.get(keyword) or ''}"[:_LONGEST].strip())
    dataset.SeriesDescription = f"{REMARK}: {record.action}, {record.method}, seed {record.seed}"[:_LONGEST]
    dataset.DerivationDescription = _derivation(record)
    dataset.DerivationCodeSequence = Sequence([_code(*CODE)])
    _mark_derived(dataset)
    if lossy:
        dataset.LossyImageCompression = "01"


def _name_source(dataset: Dataset) -> None:
    """Refer to the authentic image (PS3.3 C.7.6.1.1.4)."""
    uid = UID(Attributes(dataset).text("SOPInstanceUID"))
    if not uid.is_valid:
        return
    source = Dataset()
    source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = dataset.SOPClassUID, uid
    source.PurposeOfReferenceCodeSequence = Sequence([_code(*_SOURCE_IMAGE)])
    dataset.SourceImageSequence = Sequence([source])


def _give_uids(dataset: Dataset, record: Record, number: int) -> None:
    facts = Attributes(dataset)
    old = {keyword: facts.text(keyword) for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    for keyword, uid in old.items():
        if uid or keyword != "FrameOfReferenceUID":
            setattr(dataset, keyword, generate_uid(entropy_srcs=[record.sha256, keyword, uid]))
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[record.sha256, "SOPInstanceUID", str(number)])


def _derivation(record: Record) -> str:
    place = record.place
    return (
        f"{REMARK}: {record.action} by {record.method}, seed {record.seed}, {place.diameter_mm:g} mm at slice "
        f"{place.slice}, row {place.row}, column {place.column} (counted from 0). {WARNING}"
    )


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _mark_derived(dataset: Dataset) -> None:
    """Say DERIVED, SECONDARY in the type of the image and of each frame; the rest of the type stays."""
    dataset.ImageType = _derived(Attributes(dataset).text("ImageType"))
    groups = [
        *(dataset.get("SharedFunctionalGroupsSequence") or ()),
        *(dataset.get("PerFrameFunctionalGroupsSequence") or ()),
    ]
    for level in (dataset, *groups):
        _call_hounsfield(level)
        for keyword in _FRAME_TYPES:
            for item in level.get(keyword) or ():
                item.FrameType = _derived(Attributes(item).text("FrameType"))
        for item in level.get("PixelValueTransformationSequence") or ():
            _call_hounsfield(item)


def _derived(image_type: str) -> list[str]:
    return ["DERIVED", "SECONDARY", *image_type.split("\\")[2:]]


def _call_hounsfield(level: Dataset) -> None:
    """Name the unit, which an original CT image may leave open and a derived one may not."""
    if level.get("RescaleType") == "US":
        level.RescaleType = "HU"
