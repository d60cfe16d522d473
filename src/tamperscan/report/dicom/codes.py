"""Every code that results carry: of SNOMED CT, DICOM, LOINC and UCUM where they have one, else of 99TAMPERSCAN.

``docs/reference/dicom-results.md`` tells what the private ones mean. They are never given another meaning: a code
that has to mean something else gets another value.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from pydicom.sr.coding import Code

from tamperscan.scan.forged import CODE as FORGED

SCHEME: Final = "99TAMPERSCAN"
SCHEME_NAME: Final = "tamperscan private codes"


def _own(value: str, meaning: str) -> Code:
    return Code(value, SCHEME, meaning)


REPORT_TITLE: Final = Code("126000", "DCM", "Imaging Measurement Report")
CT_PROCEDURE: Final = Code("25045-6", "LN", "CT unspecified body region")
MR_PROCEDURE: Final = Code("25056-3", "LN", "MRI unspecified body region")
DEVICE: Final = Code("121007", "DCM", "Device")
ARTIFICIAL_INTELLIGENCE: Final = Code("123110", "DCM", "Artificial Intelligence")
SPATIAL_CONCEPT: Final = Code("309825002", "SCT", "Spatial and Relational Concept")
CENTER: Final = Code("111010", "DCM", "Center")
COMMENT: Final = Code("121106", "DCM", "Comment")
MILLIMETRE: Final = Code("mm", "UCUM", "mm")
NO_UNITS: Final = Code("1", "UCUM", "no units")

CHEST: Final = Code("816094009", "SCT", "Chest")
WHOLE_BODY: Final = Code("38266002", "SCT", "Entire body")
BODY_PARTS: Final = MappingProxyType(
    {
        "CHEST": CHEST,
        "THORAX": CHEST,
        "LUNG": Code("39607008", "SCT", "Lung"),
        "BREAST": Code("76752008", "SCT", "Breast"),
        "BRAIN": Code("12738006", "SCT", "Brain"),
        "HEAD": Code("69536005", "SCT", "Head"),
    }
)
"""Anatomic regions (PS3.16 CID 4031 and structures in it), by BodyPartExamined."""

SCREENING: Final = _own("SCREENING", "Screening for tampering")
PLACE: Final = _own("PLACE", "Place that differs from authentic scans")
VERDICT: Final = _own("VERDICT", "Verdict of the screening")
VERDICTS: Final = MappingProxyType(
    {
        "suspicious": _own("SUSPICIOUS", "Differs from authentic scans"),
        "clear": _own("CLEAR", "Nothing found; not shown to be authentic"),
        "abstained": _own("ABSTAINED", "Not judged"),
    }
)
SCORE: Final = _own("SCORE", "Suspicion score")
P_VALUE: Final = _own("P_VALUE", "Chance of such a score on an authentic scan")
ALARM_RATE: Final = _own("ALARM_RATE", "Share of authentic scans called suspicious")
REASON: Final = _own("REASON", "Reason for the verdict")
EVIDENCE: Final = _own("EVIDENCE", "What was measured at the place")
LIMIT: Final = _own("LIMIT", "Limit of the screening")
WEIGHTS: Final = _own("WEIGHTS_SHA256", "SHA-256 of the weights")
PIXELS: Final = _own("PIXELS_SHA256", "SHA-256 of the pixel data")
SIZE_ACROSS_SLICES: Final = _own("SIZE_SLICE", "Extent across slices")
SIZE_ACROSS_ROWS: Final = _own("SIZE_ROW", "Extent across rows")
SIZE_ACROSS_COLUMNS: Final = _own("SIZE_COLUMN", "Extent across columns")
SIGN: Final = _own("SIGN", "How the place differs")
SIGNS: Final = MappingProxyType(
    {
        "too smooth": _own("TOO_SMOOTH", "Too smooth"),
        "too noisy": _own("TOO_NOISY", "Too noisy"),
        "unusual texture": _own("UNUSUAL_TEXTURE", "Unusual texture"),
    }
)
OTHER_SIGN: Final = _own("OTHER", "Differs in another way")
SUSPICION: Final = _own("SUSPICION", "Suspicion")

PRIVATE: Final = (
    SCREENING,
    PLACE,
    VERDICT,
    *VERDICTS.values(),
    SCORE,
    P_VALUE,
    ALARM_RATE,
    REASON,
    EVIDENCE,
    LIMIT,
    WEIGHTS,
    PIXELS,
    SIZE_ACROSS_SLICES,
    SIZE_ACROSS_ROWS,
    SIZE_ACROSS_COLUMNS,
    SIGN,
    *SIGNS.values(),
    OTHER_SIGN,
    SUSPICION,
    Code(*FORGED),
)
"""All codes of 99TAMPERSCAN, those of forged scans included."""
