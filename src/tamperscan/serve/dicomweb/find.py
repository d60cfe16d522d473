"""Finds series and their instances in an archive by QIDO-RS (PS3.18 10.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from tamperscan.errors import ServeError
from tamperscan.serve.dicomweb.client import Client

PAGE: Final = 100
"""So many results are asked for at a time."""

MOST_RESULTS: Final = 100_000
"""More results of one question are not read: the question was too wide."""

SCREENED: Final = ("CT", "MR")
"""Modalities that are looked for where the query names none."""

LONGEST_UID: Final = 128

_SERIES_KEYS: Final = frozenset(
    {"Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "BodyPartExamined", "ProtocolName"}
    | {"SeriesDate", "SeriesTime", "Manufacturer", "StationName", "PerformedProcedureStepStartDate"}
)
_UID: Final = re.compile(r"[0-9]+(\.[0-9]+)*")

Query = Mapping[str, str]


@dataclass(frozen=True)
class FoundSeries:
    """A series that matches.

    Attributes
    ----------
    study, series
        Its UIDs.
    modality
        As the archive says.
    """

    study: str
    series: str
    modality: str


def read_query(conditions: Sequence[str]) -> dict[str, str]:
    """Read conditions such as ``StudyDate=20260101-20260131``; several may stand in one, joined by ``&``.

    Returns
    -------
    dict
        Values by DICOM keyword.

    Raises
    ------
    ServeError
        If one is no condition, or names no attribute.
    """
    query: dict[str, str] = {}
    for condition in (part for given in conditions for part in given.split("&")):
        name, equals, value = condition.partition("=")
        keyword = _keyword(name.strip())
        if not equals or not value.strip() or not value.isprintable():
            raise ServeError(f"{condition!r} is no condition. Give one such as StudyDate=20260101-20260131.")
        if not keyword:
            raise ServeError(f"{name!r} is no DICOM attribute. Give a keyword such as PatientID or StudyDate.")
        query[keyword] = value.strip()
    if not query:
        raise ServeError("There is no condition, and all of an archive is too much. Give one with --query.")
    return query


def _keyword(name: str) -> str:
    if tag_for_keyword(name) is not None:
        return name
    tag = re.sub(r"[(),\s]", "", name)
    return keyword_for_tag(int(tag, 16)) if re.fullmatch("[0-9A-Fa-f]{8}", tag) else ""


def find_series(client: Client, query: Query, report: Callable[[str], None]) -> Iterator[FoundSeries]:
    """Find the series that match, study by study.

    Parameters
    ----------
    client
        The archive.
    query
        Conditions by keyword; those of series are asked within each study that meets the others.
    report
        Is told of what the archive gave that can't be used.

    Raises
    ------
    ServeError
        If the archive can't be asked.
    """
    of_series = {keyword: value for keyword, value in query.items() if keyword in _SERIES_KEYS}
    of_study = {keyword: value for keyword, value in query.items() if keyword not in _SERIES_KEYS}
    wanted = [query["Modality"]] if "Modality" in query else list(SCREENED)
    if "Modality" in query and "*" not in query["Modality"]:
        of_study.setdefault("ModalitiesInStudy", query["Modality"])
    for study in _found(client, "/studies", of_study, "StudyInstanceUID", report):
        asked = {**of_series, "includefield": "Modality"}
        for one in _found(
            client, f"/studies/{_text(study, 'StudyInstanceUID')}/series", asked, "SeriesInstanceUID", report
        ):
            modality = _text(one, "Modality")
            if modality in wanted or "*" in wanted[0]:
                yield FoundSeries(_text(study, "StudyInstanceUID"), _text(one, "SeriesInstanceUID"), modality)


def find_study_instances(client: Client, study: str, report: Callable[[str], None]) -> Iterator[tuple[str, str]]:
    """Give series and SOP instance UID of every instance of a study, of any modality."""
    for one in _found(client, f"/studies/{study}/series", {}, "SeriesInstanceUID", report):
        series = _text(one, "SeriesInstanceUID")
        for instance in find_instances(client, FoundSeries(study, series, ""), report):
            yield series, instance


def find_instances(client: Client, found: FoundSeries, report: Callable[[str], None]) -> list[str]:
    """Give the SOP instance UIDs of a series, in the order of their digits."""
    path = f"/studies/{found.study}/series/{found.series}/instances"
    return sorted(_text(one, "SOPInstanceUID") for one in _found(client, path, {}, "SOPInstanceUID", report))


def is_uid(text: str) -> bool:
    """Whether a text is a UID as far as it may go into an address: digits and dots.

    Archives hold UIDs of more than the 64 characters that PS3.5 section 9 allows.
    """
    return len(text) <= LONGEST_UID and _UID.fullmatch(text) is not None


def _found(
    client: Client, path: str, query: Query, uid: str, report: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Give results page by page, each once: some archives know no pages, others give less than was asked for."""
    seen: set[str] = set()
    while len(seen) < MOST_RESULTS:
        page = client.get_json(path, {**query, "limit": str(PAGE), "offset": str(len(seen))}) or []
        if not isinstance(page, list):
            raise ServeError(f"{client.host}: did not answer with a list. Check that the address is that of DICOMweb.")
        fresh = [one for one in page if isinstance(one, dict) and _text(one, uid) not in seen]
        if not fresh:
            return
        for one in fresh:
            seen.add(_text(one, uid))
            if is_uid(_text(one, uid)):
                yield one
            else:
                report(f"{client.host}: gave {_text(one, uid)[:80]!r} as {uid}, which is none; left out.")
    raise ServeError(f"{client.host}: finds more than {MOST_RESULTS} results. Ask for less with --query.")


def _text(result: dict[str, Any], keyword: str) -> str:
    """Give an attribute of a result in the DICOM JSON model (PS3.18 F.2) as text."""
    tag = tag_for_keyword(keyword)
    attribute = result.get(f"{tag:08X}", result.get(f"{tag:08x}"))
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return str(values[0]).strip() if isinstance(values, list) and values else ""
