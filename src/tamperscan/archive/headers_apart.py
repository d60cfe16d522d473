"""Reads headers in a process of its own, with limits on memory and time; what Ray runs on its workers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tamperscan.archive.found import Entry
from tamperscan.archive.headers import Headers, Unreadable, join_headers, read_headers
from tamperscan.archive.places import Place, file_of
from tamperscan.errors import ScanError
from tamperscan.scan import isolated
from tamperscan.scan.limits import DEFAULT, Limits


def read_headers_apart(place: Place, names: tuple[str, ...], limits: Limits = DEFAULT) -> Headers:
    """Read the headers of some files in another process.

    Parameters
    ----------
    place, names
        As for `tamperscan.archive.headers.read_headers`.
    limits
        What reading may take.

    Returns
    -------
    Headers
        A file that ends its reader, or goes over a limit, is among those that can't be read; the others are read.
    """
    left, refused = list(names), list[Unreadable]()
    while left and len(refused) <= limits.restarts:
        try:
            told = isolated.call(__name__, "headers_here", asdict(place), left, label=place.label, limits=limits)
        except ScanError as error:
            refused.append(Unreadable(error.path, error.problem))
            before, left = left, _without(left, place, error.path)
            if left == before:  # nobody knows which one it was
                break
        else:
            return join_headers([_headers(told), Headers((), tuple(refused), 0)])
    given_up = [
        Unreadable(file_of(place, name).label, "was not read, as its neighbours ended the reader") for name in left
    ]
    return Headers((), (*refused, *given_up), 0)


def headers_here(place: dict[str, str], names: list[str]) -> dict[str, Any]:
    """Read headers in this process; gives plain values."""
    read = read_headers(Place(**place), tuple(names))  # type: ignore[arg-type]
    return asdict(read)


def _without(names: list[str], place: Place, path: str) -> list[str]:
    """Leave out the file, or the zip of the member, that ended a reader."""
    return [name for name in names if not f"{path}/".startswith(f"{file_of(place, name).label}/")]


def _headers(told: dict[str, Any]) -> Headers:
    entries = tuple(Entry(**{**one, "place": Place(**one["place"])}) for one in told["entries"])
    return Headers(entries, tuple(Unreadable(**one) for one in told["unreadable"]), int(told["passed_over"]))
