"""Reads a series in a process of its own, with limits on memory and time; what Ray runs on its workers.

The facts come back as JSON, the voxels as memory that both processes see: nothing is written that a kill could leave.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, Final

import numpy as np

from tamperscan.archive.found import FoundSeries, Part
from tamperscan.archive.places import Place
from tamperscan.archive.reading import PackedScan, ReadSeries, fetch, read_series
from tamperscan.errors import ScanError, TamperscanError
from tamperscan.scan import isolated
from tamperscan.scan.handover import facts_of, rebuild, seal
from tamperscan.scan.limits import DEFAULT, Limits

POSSIBLE: Final = hasattr(os, "memfd_create")
"""Elsewhere than on Linux only the limits on sizes hold."""

SECONDS_A_SERIES: Final = 1800.0
"""What reading and decoding a series may take; one of thousands of compressed slices takes minutes."""

_KINDS: Final = ("<i2", "<f4")
_AGAIN_SECONDS: Final = 1.0


class _TooLongError(BaseException):
    """The time is over; no handler of errors of single files may take it for one."""


def read_apart(
    found: FoundSeries, access: Any = None, *, seconds: float = SECONDS_A_SERIES, limits: Limits = DEFAULT
) -> ReadSeries:
    """Read every volume of a series in another process.

    Parameters
    ----------
    found, access
        As for `tamperscan.archive.reading.read_series`.
    seconds
        How long it may take; fetching it by DICOMweb does not count.
    limits
        What reading may take besides.

    Returns
    -------
    ReadSeries
        What can't be read, or goes over a limit, is told in it; nothing is raised for it.
    """
    if not POSSIBLE:
        return read_series(found, access)
    begun = time.monotonic()
    with ExitStack() as opened:
        try:
            here = fetch(found, opened, access)
            voxels = opened.enter_context(_memory())
            place = f"/proc/{os.getpid()}/fd/{voxels.fileno()}"
            told = isolated.call(__name__, "read_here", asdict(here), place, seconds, label=found.series, limits=limits)
            scans = _scans(told["scans"], voxels)
        except ScanError as error:
            return _failed(f"{error.problem}. {error.advice}.", begun)
        except TamperscanError as error:
            return _failed(str(error), begun)
        except (KeyError, TypeError, ValueError, OSError) as error:
            return _failed(f"its reader gave what is no scan ({type(error).__name__}). Please report this.", begun)
    return ReadSeries(scans, told["month"], tuple(told["problems"]), told["missing"], time.monotonic() - begun)


def read_here(plain: dict[str, Any], place: str, seconds: float) -> dict[str, Any]:
    """Read a series in this process, and put its voxels one after the other where they are asked for.

    Parameters
    ----------
    plain
        A `FoundSeries` as plain values.
    place
        The file to put them in.
    seconds
        How long it may take.

    Raises
    ------
    ScanError
        If it takes longer.
    """
    parts = tuple(Part(Place(**part["place"]), tuple(part["names"])) for part in plain["parts"])
    found = FoundSeries(**{**plain, "parts": parts})
    try:
        with _no_longer_than(seconds):
            read = read_series(found)
    except _TooLongError:
        problem = f"takes longer than the {seconds:g} s that reading one series may take"
        raise ScanError(found.series, problem, "Try it again with --retry-failed on a quieter machine") from None
    with Path(place).open("r+b") as file:
        scans = [_put(packed, file) for packed in read.scans]
    return {"scans": scans, "month": read.month, "problems": read.problems, "missing": read.missing}


def _failed(problem: str, begun: float) -> ReadSeries:
    return ReadSeries((), problems=(problem,), missing=1, seconds=time.monotonic() - begun)


@contextmanager
def _memory() -> Iterator[BinaryIO]:
    """Open memory without a name."""
    file = os.memfd_create("voxels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with os.fdopen(file, "r+b") as opened:
        yield opened


@contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    over = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal over
        over = True
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, end)
    # Again and again: what is raised while a finaliser runs is only printed.
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
    try:
        yield
        if over:
            raise _TooLongError
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _put(packed: PackedScan, file: BinaryIO) -> dict[str, Any]:
    """Add voxels to a file; gives the facts, and where they lie."""
    kind = _KINDS[0] if packed.voxels.dtype == np.int16 else _KINDS[1]
    offset = file.tell()
    file.write(np.ascontiguousarray(packed.voxels, kind).data.cast("B"))
    return {**facts_of(packed.scan), "shape": packed.voxels.shape, "kind": kind, "offset": offset}


def _scans(told: list[dict[str, Any]], voxels: BinaryIO) -> tuple[PackedScan, ...]:
    if not told:
        return ()
    seal(voxels.fileno())
    memory = mmap.mmap(voxels.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE)
    return tuple(_taken(facts, memory) for facts in told)


def _taken(facts: Mapping[str, Any], memory: mmap.mmap) -> PackedScan:
    shape = tuple(int(side) for side in facts["shape"])
    kind = np.dtype(_KINDS[_KINDS.index(facts["kind"])])
    voxels = np.frombuffer(memory, kind, int(np.prod(shape)), int(facts["offset"])).reshape(shape)
    return PackedScan(rebuild(facts, np.empty((0, 0, 0), np.float32)), voxels)
