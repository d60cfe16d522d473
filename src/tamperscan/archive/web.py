"""Archives that are reached by DICOMweb: series are found by QIDO-RS, and fetched by the workers that read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tamperscan.archive.found import FoundSeries, Part, series_key
from tamperscan.archive.headers import Unreadable
from tamperscan.archive.places import Place
from tamperscan.errors import ServeError

if TYPE_CHECKING:
    from tamperscan.serve.dicomweb.access import Access
    from tamperscan.serve.dicomweb.client import Client

USUAL_BYTES: Final = 2**28
"""Voxels of a series whose size is not known before it is fetched: 256 slices of 512 x 512."""


def find(
    service: str, query: Sequence[str], access: Access | None, report: Callable[[Unreadable], None]
) -> Iterator[FoundSeries]:
    """Find the series that match.

    Parameters
    ----------
    service
        Root of the DICOMweb service.
    query
        Conditions.
    access
        Credentials and limits.
    report
        Is told of what the service gave that can't be used.

    Raises
    ------
    ServeError
        If it can't be asked.
    """
    from tamperscan.serve.dicomweb.find import find_series, read_query

    with _client(service, access) as client:
        for one in find_series(client, read_query(query), lambda line: report(Unreadable(service, line))):
            part = Part(Place("dicomweb", service), (one.study, one.series, one.modality))
            yield FoundSeries(series_key(one.series), one.series, (part,), voxel_bytes=USUAL_BYTES)


def pull(part: Part, folder: Path, access: Access | None) -> tuple[str, ...]:
    """Fetch the images of a series into a folder.

    Parameters
    ----------
    part
        As `find` gives it.
    folder
        Where to; it is the caller's to remove.
    access
        Credentials and limits.

    Returns
    -------
    tuple of str
        The files' paths below the folder.

    Raises
    ------
    ServeError
        If not all of them could be fetched: a part of a series would be judged as if it were all.
    """
    from tamperscan.serve.dicomweb.find import FoundSeries as Wanted
    from tamperscan.serve.dicomweb.pull import pull_series

    study, series, modality = part.names
    with _client(part.place.where, access) as client:
        pulled = pull_series(client, Wanted(study, series, modality), folder)
    if not pulled.whole:
        reason = pulled.problems[0] if pulled.problems else "it has no images."
        raise ServeError(f"can't be fetched as a whole: {reason}")
    return tuple(str(path.relative_to(folder)) for path in sorted(pulled.folder.glob("*.dcm")))


def _client(service: str, access: Access | None) -> Client:
    from tamperscan.serve.dicomweb.access import Access as Plain
    from tamperscan.serve.dicomweb.client import Client

    return Client(service, access or Plain())
