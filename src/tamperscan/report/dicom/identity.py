"""What makes a result belong to its patient and study: those modules of the source, word for word."""

from __future__ import annotations

import copy
from typing import Final

from pydicom.config import RAISE
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import validate_value

REQUIRED: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)
"""Attributes of type 2: they must be there, and may be empty (PS3.3 C.7.1.1, C.7.2.1)."""

_KEPT: Final = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "StudyInstanceUID",
    *REQUIRED,
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientBirthTime",
    "EthnicGroup",
    "PatientComments",
    "PatientSpeciesDescription",
    "PatientSpeciesCodeSequence",
    "PatientBreedDescription",
    "PatientBreedCodeSequence",
    "BreedRegistrationSequence",
    "ResponsiblePerson",
    "ResponsiblePersonRole",
    "ResponsibleOrganization",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "IssuerOfAccessionNumberSequence",
    "StudyDescription",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
)

_AS_IT_IS: Final = ("SpecificCharacterSet", "StudyInstanceUID", *REQUIRED)
_METHODS: Final = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")


def identity_of(dataset: Dataset) -> Dataset:
    """Take the patient and study modules out of a header, with its character sets.

    Parameters
    ----------
    dataset
        A source image's header.

    Returns
    -------
    Dataset
        Every attribute of those modules that can be read. Those that must be there are added empty where they are
        missing, and kept as they are even where they break the standard; others are left out then.
    """
    kept = Dataset()
    for keyword in _KEPT:
        try:
            if keyword in dataset and (keyword in _AS_IT_IS or _is_valid(dataset[keyword])):
                kept.add(dataset[keyword])
        except Exception:  # pydicom raises whatever a malformed value provokes; such a value can't be kept
            continue
    for keyword in REQUIRED:
        if keyword not in kept:
            setattr(kept, keyword, "")
    if kept.get("PatientIdentityRemoved") == "YES" and not any(keyword in kept for keyword in _METHODS):
        kept.DeidentificationMethod = "Not stated in the source images"
    return kept


def _is_valid(element: DataElement) -> bool:
    """Whether a value is what its kind may be (PS3.5 section 6.2)."""
    if element.VR == "SQ":
        return True
    values = element.value if element.VM > 1 else [element.value]
    for value in values:
        validate_value(element.VR, str(value), RAISE)
    return True


def adopt(made: Dataset, identity: Dataset) -> None:
    """Put a result into the patient's study.

    Parameters
    ----------
    made
        The result; what it said of patient and study is replaced.
    identity
        As `identity_of` gives it.
    """
    for keyword in _KEPT:
        if keyword in made and keyword not in identity:
            delattr(made, keyword)
    made.update(copy.deepcopy(identity))
