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
import warnings
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pydicom

from tamperscan.errors import ScanError
from tamperscan.scan.sources import Source

PATIENCE: Final = 120.0
"""Seconds that looking may take; headers of 2,000 files take about ten."""

MEMORY: Final = 2**33
"""Bytes of address space that looking may take."""


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
    """

    modality: str = ""
    study_uid: str = ""
    series_uid: str = ""
    images: int = 0
    problem: str = ""


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
    command = [sys.executable, "-m", "tamperscan.serve.web.probe", str(path)]
    # What is read here is read by one thread; the numeric libraries would start one for each core.
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, env=surroundings, check=True)
        return Contents(**json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return Contents(problem="it takes too long to read")
    except (subprocess.CalledProcessError, ValueError, TypeError):
        return Contents(problem="it can't be read: it is damaged, or made to fill the memory")


def look(path: Path) -> Contents:
    """Look into a file or folder: headers of DICOM files, the whole of volume files.

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
    study = ""
    with ExitStack() as opened:
        for source in collect(path, opened, errors.append):
            try:
                if nifti.is_nifti(source):
                    scan = nifti.read_nifti(source, source.stem)
                elif numpy_file.is_numpy(source):
                    scan = numpy_file.read_numpy(source, source.stem)
                else:
                    images += [(frame.modality, frame.series) for frame in read_frames(source)]
                    study = study or _study(source)
                    continue
                images += [(scan.modality, "")] * scan.shape[0]
            except ScanError as error:
                errors.append(error)
    if not images:
        return Contents(problem=_why_nothing(errors))
    modalities = [modality for modality, _ in images]
    return Contents(max(set(modalities), key=modalities.count), study, _uid(images[0][1]), len(images))


def _study(source: Source) -> str:
    """StudyInstanceUID of a file that was read as an image before."""
    with warnings.catch_warnings(), source.open() as stream:
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(stream, force=True, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
        return _uid(str(dataset.get("StudyInstanceUID", "")))


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
