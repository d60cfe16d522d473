"""Fetches an archive's copy of a study one instance at a time, each gone when the next one comes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tamperscan.errors import ServeError
from tamperscan.scan.places import Place
from tamperscan.serve.dicomweb.client import Client
from tamperscan.serve.dicomweb.fetch import fetch_instance
from tamperscan.serve.dicomweb.find import find_study_instances, is_uid


def fetched_copies(
    client: Client, study: str, failed: dict[str, str], report: Callable[[str], None]
) -> Iterator[Place]:
    """Fetch every instance of a study.

    Parameters
    ----------
    client
        The archive.
    study
        StudyInstanceUID.
    failed
        Gets why, by SOP instance UID, for every instance that can't be fetched.
    report
        Is told of what the archive gave that can't be used.

    Yields
    ------
    Place
        A file that is there until the next one is asked for.

    Raises
    ------
    ServeError
        If the archive can't be asked, or the UID is none.
    """
    if not is_uid(study):
        raise ServeError(f"{study[:80]!r} is no UID. Give the StudyInstanceUID: digits and dots.")
    with tempfile.TemporaryDirectory(prefix="tamperscan-") as folder:
        file = Path(folder) / "instance.dcm"
        for series, instance in find_study_instances(client, study, report):
            try:
                fetch_instance(client, study, series, instance, file)
            except ServeError as error:
                failed[instance] = str(error)
            else:
                yield Place(str(file))
