"""What was screened before, as its ``screening.json`` files tell: date, p-value and group of each scan."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

from tamperscan.errors import ScanError

FILE: Final = "screening.json"

GroupedBy = Literal["none", "scanner", "kernel"]
DatedBy = Literal["study", "screened"]
GROUPS: Final[tuple[GroupedBy, ...]] = get_args(GroupedBy)
DATES: Final[tuple[DatedBy, ...]] = get_args(DatedBy)

_DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError)


@dataclass(frozen=True)
class PastResult:
    """What is needed of one screening.

    Attributes
    ----------
    detector
        Name, and the beginning of the weights' hash: p-values of different ones are not to be mixed.
    patients
        Authentic patients that the p-value was counted among; None where that is not told.
    alarm_rate, p_value
        As the screening had them; None where the detector abstained.
    studied, screened
        Date of the study, if the files told it, and of the screening.
    scanner, kernel
        As the header says; empty where it does not.
    """

    detector: str
    patients: int | None
    alarm_rate: float
    p_value: float | None
    studied: date | None
    screened: date | None
    scanner: str
    kernel: str

    def group(self, by: GroupedBy) -> str:
        """Name the group that the scan belongs to."""
        return {"none": "all", "scanner": self.scanner, "kernel": self.kernel}[by] or "not told"

    def dated(self, by: DatedBy) -> date | None:
        """Return the date to go by."""
        return self.studied if by == "study" else self.screened


def read_past_results(
    places: Iterable[Path], on_error: Callable[[ScanError], None] = lambda error: None
) -> Iterator[PastResult]:
    """Read every ``screening.json`` at or below some places, one at a time.

    Parameters
    ----------
    places
        Files, and folders that are searched.
    on_error
        Called with what can't be read.
    """
    for place in places:
        if not place.exists():
            on_error(ScanError(place, "is not there", "Check the path"))
        for path in _files(place):
            try:
                yield _result(json.loads(path.read_bytes()))
            except _DAMAGED as error:
                problem = f"can't be read as a screening ({type(error).__name__})"
                on_error(ScanError(path, problem, "Screen the scan again"))


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for folder, folders, names in os.walk(place):
        folders.sort()
        if FILE in names:
            yield Path(folder, FILE)


def _result(document: dict[str, Any]) -> PastResult:
    metadata, detector = document["scan"]["metadata"], document["detector"]
    patients = detector["settings"].get("calibration_patients")
    p_value = document["p_value"]
    return PastResult(
        detector=f"{detector['name']} {detector['weights_sha256'][:8]}",
        patients=patients if isinstance(patients, int) else None,
        alarm_rate=float(document["alarm_rate"]),
        p_value=None if p_value is None else float(p_value),
        studied=dicom_date(metadata.get("StudyDate", "")),
        screened=datetime.fromisoformat(document["created"]).date(),
        scanner=" ".join(filter(None, (metadata.get("Manufacturer"), metadata.get("ManufacturerModelName")))),
        kernel=metadata.get("ConvolutionKernel", ""),
    )


def dicom_date(text: str) -> date | None:
    """Read a DICOM date (``20260228``, or as before 1993 ``2026.02.28``); None where it is none."""
    with suppress(ValueError):
        return datetime.strptime(text.replace(".", "").strip()[:8], "%Y%m%d").date()
    return None
