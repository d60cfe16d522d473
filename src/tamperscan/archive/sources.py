"""What a user names as an archive: folders, files, prefixes of object stores, DICOMweb services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tamperscan.archive.discovery import Discovery
from tamperscan.archive.found import FoundSeries
from tamperscan.archive.places import Place, file_system
from tamperscan.archive.walking import count_files
from tamperscan.errors import ArchiveError, ScanError

if TYPE_CHECKING:
    from tamperscan.serve.dicomweb.access import Access


@dataclass(frozen=True)
class ArchiveSources:
    """An archive.

    Attributes
    ----------
    roots
        Folders and prefixes to walk through.
    services
        Addresses of DICOMweb services.
    query
        Conditions for these, such as ``StudyDate=20260101-20260131``.
    """

    roots: tuple[Place, ...]
    services: tuple[str, ...] = ()
    query: tuple[str, ...] = ()


def parse_sources(sources: Sequence[str], query: Sequence[str]) -> ArchiveSources:
    """Tell folders, prefixes and services apart, and check that each is there.

    Raises
    ------
    ArchiveError
        If one is not, or if a query and a service don't come together.
    """
    services = tuple(one for one in sources if one.startswith(("http://", "https://")))
    roots = tuple(_root(one) for one in sources if one not in services)
    if services and not query:
        raise ArchiveError(f"{services[0]}: all of a service is too much. Say what to screen with --query.")
    if query and not services:
        raise ArchiveError(
            "--query goes with the address of a DICOMweb service. Name one, such as https://pacs/dicom-web."
        )
    return ArchiveSources(roots, services, tuple(query))


def find_all(sources: ArchiveSources, discovery: Discovery, access: Access | None) -> Iterator[FoundSeries]:
    """Find every series of an archive that is to be screened; those of several folders come last."""
    for root in sources.roots:
        yield from discovery.under(root)
    yield from discovery.scattered()
    if sources.services:
        from tamperscan.archive.web import find

        for service in sources.services:
            yield from find(service, sources.query, access, discovery.report)


def count_all(sources: ArchiveSources) -> Iterator[int]:
    """Count the files of the folders and prefixes, one folder after the other."""
    for root in sources.roots:
        yield from count_files(root)


def _root(source: str) -> Place:
    if "://" in source:
        place = Place("objects", source.rstrip("/"))
        _check_prefix(place)
        return place
    path = Path(source)
    if path.is_dir():
        return Place("folder", str(path.resolve()))
    if path.is_file():
        raise ArchiveError(f"{source}: is a file. 'tamperscan screen' screens it; archives are folders.")
    raise ArchiveError(f"{source}: there is no such folder. Check the path.")


def _check_prefix(place: Place) -> None:
    try:
        from pyarrow.fs import FileType

        files, path = file_system(place.where)
        found = files.get_file_info(path).type
    except ImportError as error:
        from tamperscan.archive.errors import missing_package

        raise missing_package("pyarrow") from error
    except ScanError as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        words = " ".join(str(error).split())[:200]
        raise ArchiveError(f"{place.where}: can't be reached ({words}). Check the address and credentials.") from error
    if found == FileType.NotFound:
        raise ArchiveError(f"{place.where}: there is nothing of that name. Check the address.")
