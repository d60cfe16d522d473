"""Makes archives of tiny series, and rows as if they had been screened."""

from __future__ import annotations

from dicom_maker import hounsfield, write_series

from tamperscan.archive.discovery import Discovery
from tamperscan.archive.headers import read_headers
from tamperscan.archive.places import Place
from tamperscan.archive.rows import RESULT_COLUMNS


class Read:
    """Headers that are read at once, here."""

    def __init__(self, place, names):
        self._headers = read_headers(place, names)

    def result(self):
        return self._headers


def make_series(folder, uid, count=2, **values):
    """A series of tiny images, which holds no lung."""
    return write_series(folder, hounsfield(count), SeriesInstanceUID=uid, **{"StudyInstanceUID": f"{uid}.9", **values})


def find(index, *folders, retry_failed=False, seen=None):
    """Find what is to be screened, without a cluster; first below folders, then what lies in several."""
    discovery = Discovery(index, Read, seen or (lambda _: None), retry_failed=retry_failed)
    found = [series for folder in folders for series in discovery.under(Place("folder", str(folder)))]
    return found + list(discovery.scattered())


def row_of(found, verdict="clear", **values):
    """The rows of a series, as if it had been screened."""
    result = {**dict.fromkeys(RESULT_COLUMNS), "key": found.key, "listing": found.listing, "verdict": verdict}
    result |= {"reasons": ["Because."], "warnings": [], "modality": "CT", "year": "2024", "study_month": "2024-05"}
    run = {"key": found.key, "places": ["here"], "files": found.files, "attempts": 1}
    return result | values, run


def screen(index, found, verdict="clear", **values):
    """Put the row of a series into the index."""
    index.put(found.key, found.listing, *row_of(found, verdict, **values))
