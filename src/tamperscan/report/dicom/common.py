"""What all results have in common: how they are finished before they are written."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.valuerep import DT

from tamperscan.detect.results import Screening
from tamperscan.files import new_file
from tamperscan.report.dicom.codes import ARTIFICIAL_INTELLIGENCE, SCHEME, SCHEME_NAME
from tamperscan.report.dicom.identity import adopt
from tamperscan.report.dicom.sources import SourceSeries
from tamperscan.report.dicom.uids import Kind, Numbering
from tamperscan.report.schema import package_version
from tamperscan.scan.forged import CODE as FORGED
from tamperscan.scan.forged import REMARK

MANUFACTURER: Final = "tamperscan"
NOT_FOR_DIAGNOSIS: Final = "NOT FOR DIAGNOSIS"
_LONGEST_MODEL: Final = 64


@dataclass(frozen=True, eq=False)
class Job:
    """One screening whose results are written.

    Attributes
    ----------
    screening, sources, names
        What was screened, of which images, and how the results are named.
    folder
        Where the files go.
    now
        When they are made; stated in them.
    """

    screening: Screening
    sources: SourceSeries
    names: Numbering
    folder: Path
    now: datetime

    def instance(self, kind: Kind, number: int = 1) -> dict[str, Any]:
        """Say what highdicom asks of every instance: UIDs, numbers, and who made it."""
        return {
            "series_instance_uid": self.names.series_uid(kind),
            "series_number": self.names.series_number(kind),
            "sop_instance_uid": self.names.instance_uid(kind, number),
            "instance_number": number,
            "series_description": self.names.description(kind),
            **self.equipment(),
        }

    def equipment(self) -> dict[str, str]:
        """Say who made it (PS3.3 C.7.5.2); the serial number is what identifies a detector, its weights."""
        return {
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": plain_text(self.screening.detector_name)[:_LONGEST_MODEL] or MANUFACTURER,
            "software_versions": package_version(),
            "device_serial_number": self.screening.weights_sha256 or "none",
        }

    def algorithm(self) -> hd.AlgorithmIdentificationSequence:
        """Identify the algorithm (PS3.3 table 10-19)."""
        return hd.AlgorithmIdentificationSequence(
            name=self.equipment()["manufacturer_model_name"],
            family=ARTIFICIAL_INTELLIGENCE,
            version=package_version(),
            source=MANUFACTURER,
            parameters=self.parameters(),
        )

    def parameters(self) -> dict[str, str]:
        """Say what the result depends on besides the pixels."""
        head = self.screening.settings.get("head")
        return {
            "weights_sha256": self.screening.weights_sha256 or "none",
            "alarm_rate": f"{self.screening.alarm_rate:g}",
            **({"head": str(head)} if head else {}),
        }


def plain_text(text: str) -> str:
    """Turn a text into printable ASCII, which every character set of a source holds, without what parts values."""
    return re.sub(r"[^ -\[\]-~]", "?", text)


@contextmanager
def quietly() -> Iterator[None]:
    """Keep to oneself what libraries warn of while they copy a source's oddities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def write(made: Dataset, job: Job, name: str) -> Path:
    """Put a result into the patient's study and write it, as Explicit VR Little Endian.

    Raises
    ------
    OutputError
        Where the file can't be written.
    """
    finish(made, job)
    path = job.folder / name
    with new_file(path) as file, quietly():
        dcmwrite(file, made, enforce_file_format=True)
    return path


def finish(made: Dataset, job: Job) -> None:
    """Say whose it is, when it was made, what its private codes are, and that it is of a forged scan if it is."""
    adopt(made, job.sources.identity)
    now = _local(job)
    date, time = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    made.InstanceCreationDate, made.InstanceCreationTime = date, time
    made.SeriesDate, made.SeriesTime = date, time
    if "ContentDate" in made:
        made.ContentDate, made.ContentTime = date, time
    if "Rows" in made:
        _state_body_part(made, job)
    made.CodingSchemeIdentificationSequence = [_coding_scheme()]
    made.ContributingEquipmentSequence = [_equipment(now)]
    if job.sources.forged:
        _mark_forged(made)


def _local(job: Job) -> datetime:
    """Give the time in the zone that the source states (PS3.3 C.12.1), else as it is."""
    stated = re.fullmatch(r"([+-])(\d\d)(\d\d)", str(job.sources.identity.get("TimezoneOffsetFromUTC", "")).strip())
    if stated is None or job.now.tzinfo is None:
        return job.now
    offset = timedelta(hours=int(stated[2]), minutes=int(stated[3]))
    return job.now.astimezone(timezone(-offset if stated[1] == "-" else offset))


def _state_body_part(made: Dataset, job: Job) -> None:
    """Repeat the body part, and its side, which may be empty only where nothing is known (PS3.3 C.7.3.1).

    Objects of many frames have their own ways to state the side, and must not have this one.
    """
    made.update(copy.deepcopy(job.sources.body_part))
    if "SharedFunctionalGroupsSequence" in made:
        made.pop("Laterality", None)
    elif "BodyPartExamined" not in made and "Laterality" not in made:
        made.Laterality = ""


def _coding_scheme() -> Dataset:
    scheme = Dataset()
    scheme.CodingSchemeDesignator, scheme.CodingSchemeName = SCHEME, SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
    return scheme


def _equipment(now: datetime) -> Dataset:
    """Name highdicom, which wrote it (PS3.3 C.12.1)."""
    made = hd.ContributingEquipment.for_highdicom()
    made.ContributionDateTime = DT(now.strftime("%Y%m%d%H%M%S%z"))
    return made


def _mark_forged(made: Dataset) -> None:
    """Mark a result of a forged scan as the scan is, so that whatever refuses to send the scan refuses it as well."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = FORGED
    made.DerivationCodeSequence = [code]
    made.DerivationDescription = f"{REMARK}: a result of screening a forged scan."
