"""Pulls series from an archive into folders; what is there already is not fetched again."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from tamperscan.errors import OutputError, ServeError, TamperscanError
from tamperscan.files import make_folder, sync, write_file
from tamperscan.serve.dicomweb.client import Client
from tamperscan.serve.dicomweb.fetch import fetch_instance
from tamperscan.serve.dicomweb.find import FoundSeries, find_instances

AT_ONCE: Final = 4
"""Instances fetched at the same time."""

RECORD: Final = "pulled.json"
"""File in each series' folder that says which series it is, and whether it is whole."""

Arrived = Callable[[FoundSeries, str, Path], None]
"""Is called with series, SOP instance UID and file before a file gets its name."""


@dataclass(frozen=True)
class PulledSeries:
    """What came of pulling one series.

    Attributes
    ----------
    study, series, modality
        Which series.
    folder
        Where its instances lie.
    instances
        How many the archive has.
    fetched
        How many were fetched now; the others were there, or failed.
    problems
        Why instances failed, one sentence each.
    """

    study: str
    series: str
    modality: str
    folder: Path
    instances: int
    fetched: int
    problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether every instance is there."""
        return not self.problems and self.instances > 0


def short_name(*uids: str) -> str:
    """Name a folder or file after UIDs without using any character of them: 32 hexadecimal digits."""
    return hashlib.sha256("\n".join(uids).encode()).hexdigest()[:32]


def pull_series(
    client: Client,
    found: FoundSeries,
    out: Path,
    *,
    arrived: Arrived | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PulledSeries:
    """Fetch the instances of a series that are not there yet.

    Each is written beside and renamed when it is whole, so that a run that breaks off is taken up by the next.

    Parameters
    ----------
    client
        The archive.
    found
        The series.
    out
        Folder in which the series' folder is, or is made.
    arrived
        Called for each fetched instance before it counts as there.
    progress
        Is told how many instances of how many are done.

    Raises
    ------
    ServeError
        If the archive can't be asked for its instances, or another pull is at work there.
    OutputError
        If the disk does not take them.
    """
    problems: list[str] = []
    instances = find_instances(client, found, problems.append)
    folder = out / short_name(found.study, found.series)
    with _alone(folder):
        there = {path.name for path in folder.iterdir()}
        missing = [instance for instance in instances if f"{short_name(instance)}.dcm" not in there]
        fetched = 0
        for done, problem in enumerate(_fetch_all(client, found, missing, folder, arrived), start=1):
            if problem:
                problems.append(problem)
            else:
                fetched += 1
            if progress is not None:
                progress(len(instances) - len(missing) + done, len(instances))
        pulled = PulledSeries(
            found.study, found.series, found.modality, folder, len(instances), fetched, tuple(problems)
        )
        _record(pulled)
    return pulled


def _fetch_all(
    client: Client, found: FoundSeries, missing: list[str], folder: Path, arrived: Arrived | None
) -> Iterator[str]:
    """Fetch instances, some at a time, and give each one's problem or nothing."""

    def fetch(instance: str) -> str:
        beside = folder / f".{uuid4().hex}.part"
        try:
            fetch_instance(client, found.study, found.series, instance, beside)
            if arrived is not None:
                arrived(found, instance, beside)
            beside.rename(folder / f"{short_name(instance)}.dcm")
            sync(folder)
        except OutputError:
            raise
        except TamperscanError as error:
            return str(error)
        finally:
            beside.unlink(missing_ok=True)
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            yield from pool.map(fetch, missing)
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make a folder and keep other pulls out of it; take away what one that broke off has left."""
    make_folder(folder)
    folder.chmod(0o700)
    file = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServeError(f"{folder}: another pull is at work there. Wait for it to end.") from error
        for rest in folder.glob(".*.part"):
            rest.unlink(missing_ok=True)
        yield
    finally:
        os.close(file)


def _record(pulled: PulledSeries) -> None:
    facts = asdict(pulled) | {"folder": pulled.folder.name, "whole": pulled.whole}
    write_file(pulled.folder / RECORD, (json.dumps(facts, indent=2) + "\n").encode())
