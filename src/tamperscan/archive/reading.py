"""Reads and decodes the volumes of one series; runs on the workers' processors, apart from the network."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.archive.facts import study_month
from tamperscan.archive.found import FoundSeries, Part
from tamperscan.archive.places import Place, sources_of
from tamperscan.errors import ScanError, TamperscanError
from tamperscan.scan import nifti, numpy_file
from tamperscan.scan.assemble import build_scan, frame_digest
from tamperscan.scan.dicom import read_frames
from tamperscan.scan.frames import Frame
from tamperscan.scan.series import plan_volumes
from tamperscan.scan.sources import Source
from tamperscan.scan.volume import Scan

_INT16: Final = np.iinfo(np.int16)


@dataclass(frozen=True, eq=False)
class PackedScan:
    """A scan on its way from one process to another: Hounsfield units are whole numbers, and take half the room.

    Attributes
    ----------
    scan
        Without its voxels.
    voxels
        ``[slice, row, column]``: int16 where that is exact, else float32.
    """

    scan: Scan
    voxels: NDArray[Any]

    def unpack(self) -> Scan:
        """Give the scan as it was read."""
        return replace(self.scan, voxels=self.voxels.astype(np.float32))


@dataclass(frozen=True, eq=False)
class ReadSeries:
    """What came of reading a series.

    Attributes
    ----------
    scans
        Its volumes.
    month
        Month of its study, such as ``"2024-05"``; empty if unknown.
    problems
        What could not be read, one sentence each, naming no file.
    missing
        How many volumes could not be read.
    seconds
        Wall time.
    """

    scans: tuple[PackedScan, ...]
    month: str = ""
    problems: tuple[str, ...] = ()
    missing: int = 0
    seconds: float = 0.0


@dataclass
class _Told:
    """What went wrong while a series was read."""

    problems: dict[str, None] = field(default_factory=dict)
    missing: int = 0

    def note(self, error: ScanError) -> None:
        self.problems[f"{error.problem}. {error.advice}."] = None


def read_series(found: FoundSeries, access: Any = None) -> ReadSeries:
    """Read every volume of a series.

    Parameters
    ----------
    found
        The series.
    access
        How to reach its archive, where it comes by DICOMweb.

    Returns
    -------
    ReadSeries
        What can't be read is told in it; nothing is raised for it.
    """
    begun = time.monotonic()
    told, scans, month = _Told(), [], ""
    with ExitStack() as opened:
        try:
            frames, volumes = _headers(fetch(found, opened, access), opened, told)
            month = study_month(frames[0].source) if frames else ""
            for number, volume in enumerate(plan_volumes(frames, frame_digest, told.note)):
                scans += _built(told, lambda v=volume, n=number: build_scan(v, f"series-{n}", told.note))
            for number, source in enumerate(volumes):
                scans += _built(told, lambda s=source, n=number: _read_volume(s, f"volume-{n}"))
        except TamperscanError as error:
            told.problems[str(error)] = None
    return ReadSeries(tuple(scans), month, tuple(told.problems), told.missing, time.monotonic() - begun)


def fetch(found: FoundSeries, opened: ExitStack, access: Any) -> FoundSeries:
    """Fetch what comes by DICOMweb; gives the same series with those files in a folder.

    Parameters
    ----------
    found, access
        As for `read_series`.
    opened
        Removes the folder when it is closed.

    Raises
    ------
    ServeError
        If not all of it could be fetched.
    """
    return replace(found, parts=tuple(_fetched(part, opened, access) for part in found.parts))


def _fetched(part: Part, opened: ExitStack, access: Any) -> Part:
    if part.place.kind != "dicomweb":
        return part
    from tamperscan.archive.web import pull

    folder = opened.enter_context(TemporaryDirectory(prefix="tamperscan-"))
    return Part(Place("folder", folder), pull(part, Path(folder), access))


def _headers(found: FoundSeries, opened: ExitStack, told: _Told) -> tuple[list[Frame], list[Source]]:
    """Read the headers again, of this series alone; volume files come apart."""
    frames: list[Frame] = []
    volumes: list[Source] = []
    for part in found.parts:
        for source in sources_of(part.place, part.names, opened):
            try:
                if nifti.is_nifti(source) or numpy_file.is_numpy(source):
                    volumes.append(source)
                else:
                    frames += read_frames(source)
            except ScanError as error:
                told.note(error)
    return frames, volumes


def _built(told: _Told, build: Any) -> list[PackedScan]:
    """Decode a volume, or tell why not."""
    try:
        return [pack(build())]
    except ScanError as error:
        told.note(error)
    except MemoryError:
        told.problems["is too large for this machine's memory. Use a larger machine."] = None
    except Exception as error:  # one odd file must not end a run over many
        problem = f"can't be read, for a reason that was not foreseen ({type(error).__name__}). Please report this."
        told.problems[problem] = None
    told.missing += 1
    return []


def _read_volume(source: Source, name: str) -> Scan:
    read = nifti.read_nifti if nifti.is_nifti(source) else numpy_file.read_numpy
    return read(source, name)


def pack(scan: Scan) -> PackedScan:
    """Take the voxels out of a scan, as int16 where nothing is lost."""
    voxels: NDArray[Any] = scan.voxels
    low, high = float(voxels.min()), float(voxels.max())
    if low >= _INT16.min and high <= _INT16.max:
        whole = voxels.astype(np.int16)
        if all(np.array_equal(plane, other) for plane, other in zip(whole, voxels, strict=True)):
            voxels = whole
    return PackedScan(replace(scan, voxels=np.empty((0, 0, 0), np.float32)), voxels)
