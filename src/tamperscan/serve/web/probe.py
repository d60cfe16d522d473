"""Looking into an upload before it is queued: whether there is a scan in it, and which detector is for it.

This reads files that anyone may have sent, so it runs in a process of its own with limits on memory and time:
``python -m tamperscan.serve.web.probe FOLDER`` prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
import warnings
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pydicom

from tamperscan.errors import ScanError
from tamperscan.scan.sources import Source
from tamperscan.serve.pixel_digest import PIXELS, stored_digest

PATIENCE: Final = 120.0
"""Seconds that looking may take; headers of 2,000 files take about ten."""

_UIDS: Final = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")

MEMORY: Final = 2**33
"""Bytes of address space that looking may take."""


DIGEST_SECONDS: Final = 60.0
"""Seconds in which digests of an upload's images are taken; those that are left then go without."""

MOST_ARRIVALS: Final = 20_000
"""Most images of an upload that are told one by one."""


@dataclass(frozen=True)
class Arrival:
    """One DICOM image of an upload, as the audit trail is told of it.

    Attributes
    ----------
    study, series, instance, sop_class
        UIDs; empty where there is none.
    stored_sha256
        Digest of its pixel data as stored; None where none was taken.
    """

    study: str
    series: str
    instance: str
    sop_class: str
    stored_sha256: str | None


@dataclass(frozen=True)
class Contents:
    """What an upload holds.

    Attributes
    ----------
    modality
        ``"CT"`` or ``"MR"``, of most of its images; empty where there is no scan.
    study_uid, series_uid
        Of the first image; empty where there is none.
    images
        Number of DICOM images, or of slices of volume files.
    problem
        Why there is no scan in it; empty where there is one.
    arrivals
        Its DICOM images, `MOST_ARRIVALS` at most.
    """

    modality: str = ""
    study_uid: str = ""
    series_uid: str = ""
    images: int = 0
    problem: str = ""
    arrivals: tuple[Arrival, ...] = ()


def probe(path: Path) -> Contents:
    """Look into a file or folder in a process of its own.

    Parameters
    ----------
    path
        What was received.

    Returns
    -------
    Contents
        With the problem where it could not be looked into.
    """
    command = [sys.executable, "-P", "-m", "tamperscan.serve.web.probe", str(path)]
    # What is read here is read by one thread; the numeric libraries would start one for each core.
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, env=surroundings, check=True)
        told = json.loads(done.stdout)
        return Contents(**{**told, "arrivals": tuple(Arrival(**one) for one in told["arrivals"])})
    except subprocess.TimeoutExpired:
        return Contents(problem="it takes too long to read")
    except (subprocess.CalledProcessError, ValueError, TypeError, KeyError):
        return Contents(problem="it can't be read: it is damaged, or made to fill the memory")


def look(path: Path) -> Contents:
    """Look into a file or folder: whether there is a scan, and what its images are.

    Parameters
    ----------
    path
        What was received.
    """
    from tamperscan.scan import nifti, numpy_file
    from tamperscan.scan.collect import collect
    from tamperscan.scan.dicom import read_frames

    errors: list[ScanError] = []
    images: list[tuple[str, str]] = []
    arrivals: list[Arrival] = []
    until = time.monotonic() + DIGEST_SECONDS
    with ExitStack() as opened:
        for source in collect(path, opened, errors.append):
            try:
                if nifti.is_nifti(source):
                    scan = nifti.read_nifti(source, source.stem)
                elif numpy_file.is_numpy(source):
                    scan = numpy_file.read_numpy(source, source.stem)
                else:
                    images += [(frame.modality, frame.series) for frame in read_frames(source)]
                    if len(arrivals) < MOST_ARRIVALS:
                        arrivals.append(_arrival(source, digest=time.monotonic() < until))
                    continue
                images += [(scan.modality, "")] * scan.shape[0]
            except ScanError as error:
                errors.append(error)
    if not images:
        return Contents(problem=_why_nothing(errors))
    modalities = [modality for modality, _ in images]
    study = next((one.study for one in arrivals if one.study), "")
    modality = max(set(modalities), key=modalities.count)
    return Contents(modality, study, _uid(images[0][1]), len(images), arrivals=tuple(arrivals))


def _arrival(source: Source, *, digest: bool) -> Arrival:
    """Look into a file that was read as an image before, its pixels included where a digest is wanted."""
    with warnings.catch_warnings(), source.open() as stream:
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(
            stream, force=True, stop_before_pixels=not digest, specific_tags=[*_UIDS, *(PIXELS if digest else ())]
        )
        stored = stored_digest(dataset) if digest else None
        study, series, instance, sop_class = (_uid(str(dataset.get(keyword, ""))) for keyword in _UIDS)
        return Arrival(study, series, instance, sop_class, stored)


def _uid(text: str) -> str:
    """Give a UID as it is, and nothing for what is none (PS3.5 section 9.1)."""
    return text if re.fullmatch(r"[0-9.]{1,64}", text) else ""


def _why_nothing(errors: list[ScanError]) -> str:
    if not errors:
        return "there is no DICOM or NIfTI file in it"
    return f"{errors[0].problem}. {errors[0].advice}"


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(json.dumps(asdict(look(Path(sys.argv[1])))))


if __name__ == "__main__":
    _main()
