"""How a scan says that it was forged by tamperscan, and the refusal to send such a scan anywhere."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset

from tamperscan.errors import ForgedError
from tamperscan.scan.attributes import Attributes

REMARK: Final = "FORGED by tamperscan"
"""SeriesDescription and DerivationDescription of a forged DICOM file, and the description of a NIfTI file, begin so."""

CODE: Final = ("FORGED", "99TAMPERSCAN", "Forged by tamperscan to measure detectors")
"""Value, scheme and meaning of a forged DICOM file's derivation code (a private scheme, PS3.3 section 8.2)."""

NOTE: Final = "The header says that this scan was forged by tamperscan."
"""What the reader warns of."""

_REMARKED: Final = ("SeriesDescription", "DerivationDescription")


def is_forged(dataset: Dataset) -> bool:
    """Whether a DICOM data set says that tamperscan forged it.

    Parameters
    ----------
    dataset
        Any data set; it need not hold pixels.
    """
    facts = Attributes(dataset)
    if any(says_forged(facts.text(keyword)) for keyword in _REMARKED):
        return True
    codes = facts.value("DerivationCodeSequence") or ()
    found = (Attributes(code) for code in codes)
    return any((one.text("CodeValue"), one.text("CodingSchemeDesignator")) == CODE[:2] for one in found)


def says_forged(description: str) -> bool:
    """Whether a description holds the remark, in any case of letters."""
    return REMARK.lower() in description.lower()


def refuse_forged(dataset: Dataset) -> None:
    """Stop a forged DICOM data set from being sent.

    Raises
    ------
    ForgedError
        If it says that it is forged.
    """
    if is_forged(dataset):
        uid = Attributes(dataset).text("SOPInstanceUID") or "without UID"
        raise ForgedError(
            f"Image {uid} was forged by tamperscan to measure detectors, and never goes to a PACS. "
            f"Take it out of what is to be sent."
        )
