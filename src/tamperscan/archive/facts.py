"""Facts about a study that only whole archives are sorted by."""

from __future__ import annotations

import re
import warnings
from typing import Final

import pydicom

from tamperscan.scan.attributes import Attributes
from tamperscan.scan.sources import Source

_DATES: Final = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
_DATE: Final = re.compile(r"((?:19|20)\d\d)[.-]?(0[1-9]|1[0-2])")


def study_month(source: Source) -> str:
    """Read the month of a study, such as ``"2024-05"``: the day is more than a table should tell of a patient.

    Parameters
    ----------
    source
        One of its images.

    Returns
    -------
    str
        Empty if it is not known.
    """
    try:
        with warnings.catch_warnings(), source.open() as stream:
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=list(_DATES))
            facts = Attributes(dataset)
            dates = [_DATE.match(facts.text(keyword)) for keyword in _DATES]
    except Exception:  # pydicom raises whatever the bytes provoke
        return ""
    return next((f"{date[1]}-{date[2]}" for date in dates if date), "")
