"""Fetches single instances from an archive by WADO-RS (PS3.18 10.4), straight to the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tamperscan.errors import OutputError, ScanError, ServeError
from tamperscan.serve.dicomweb.client import Client, Unavailable
from tamperscan.serve.dicomweb.multipart import MultipartError, boundary_of, first_part
from tamperscan.serve.looking import uids_of

if TYPE_CHECKING:
    import httpx

LARGEST_INSTANCE: Final = 2**33
"""Bytes of the largest instance that is fetched."""

_CHUNK: Final = 2**18

# As the archive holds them: another transfer syntax would be another file than the one that is to be looked at.
_ACCEPT: Final = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def fetch_instance(client: Client, study: str, series: str, instance: str, to: Path) -> None:
    """Fetch an instance into a file, which is on the disk when this returns.

    Parameters
    ----------
    client
        The archive.
    study, series, instance
        UIDs that were checked (`tamperscan.serve.dicomweb.find.is_uid`).
    to
        The file; one that is there is replaced.

    Raises
    ------
    ServeError
        If it can't be had, or the archive gives something else.
    OutputError
        If the disk does not take it.
    """
    path = f"/studies/{study}/series/{series}/instances/{instance}"

    def attempt() -> None:
        with client.stream("GET", path, {"Accept": _ACCEPT}) as answer:
            _write(to, _content(client.host, answer))

    client.try_again(attempt)
    _check(client.host, to, study, series, instance)


def _content(host: str, answer: httpx.Response) -> Iterator[bytes]:
    total = 0
    try:
        boundary = boundary_of(answer.headers.get("Content-Type", ""))
        chunks = answer.iter_bytes(_CHUNK)
        for piece in chunks if boundary is None else first_part(chunks, boundary):
            total += len(piece)
            if total > LARGEST_INSTANCE:
                raise ServeError(f"{host}: sends an instance of more than {LARGEST_INSTANCE} bytes. Fetch it by hand.")
            yield piece
    except MultipartError as error:
        raise Unavailable(f"its answer can't be used: {error}") from error


def _write(to: Path, pieces: Iterator[bytes]) -> None:
    """Write a file to the disk. Errors of the network are not OSErrors here, so those are the disk's."""
    try:
        file = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "wb") as stream:
            for piece in pieces:
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        problem = error.strerror or str(error)
        raise OutputError(f"{to.parent}: can't be written ({problem}). Make room, or name another folder.") from error


def _check(host: str, path: Path, study: str, series: str, instance: str) -> None:
    """Refuse what is not the instance that was asked for."""
    wanted = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance}
    try:
        found = uids_of(path)
    except ScanError as error:
        raise ServeError(f"{host}: gave no DICOM file for instance {instance}. Look at it in the archive.") from error
    if found != wanted:
        raise ServeError(f"{host}: gave another instance than {instance}, which was asked for. Tell who runs it.")
