"""What a file may ask of its reader. Every limit that reading keeps to is here, with its reason."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from typing import Final

from tamperscan.errors import ScanError


@dataclass(frozen=True)
class Limits:
    """Limits of reading, for each process that reads.

    Attributes
    ----------
    memory
        Bytes of address space of the reader's process, and of each decoder that it starts; never more than the
        machine has. The largest volume takes 8 GiB, half of that comes on top for decoding it.
    seconds_a_file
        Seconds that the header of one file, one of its frames, or a volume file as a whole may take. A slice takes
        hundredths of a second, the largest NIfTI volume two minutes; the rest is for slow disks.
    seconds_a_frame
        Seconds that a decoder may take for one compressed frame.
    voxels
        Rows x columns x frames of one volume: 8 GiB as float32, eight times the longest CT of a whole body.
    frames
        Frames of one file. Enhanced CT and MR have thousands.
    sequence_depth
        Sequences within sequences of a header. Enhanced CT and MR nest four deep, structured reports ten.
    element
        Bytes of one value of a header. The largest that scanners write there are a few MB.
    inflated
        Bytes that a deflated data set may unpack to, and the same for the part of a NIfTI file that is read.
    zip_entries
        Files in a zip.
    zip_bytes
        Bytes that all files of a zip may unpack to.
    zip_ratio
        Unpacked by packed bytes, of zips that unpack to more than 256 MiB. Scans reach four, flat phantoms a hundred.
    restarts
        How often the reader is started anew under one path: without a file that hung, or that ended two of them.
    """

    memory: int = 12 * 2**30
    seconds_a_file: float = 300.0
    seconds_a_frame: float = 120.0
    voxels: int = 2**31
    frames: int = 2**18
    sequence_depth: int = 32
    element: int = 2**26
    inflated: int = 2**33
    zip_entries: int = 100_000
    zip_bytes: int = 2**35
    zip_ratio: int = 200
    restarts: int = 16


DEFAULT: Final = Limits()
"""What holds where nothing else is asked for."""

_here: list[Limits] = [DEFAULT]


def limits() -> Limits:
    """Give the limits of this process."""
    return _here[0]


def keep_to(wanted: Limits) -> None:
    """Set the limits of this process, the memory included. There is no way back to more memory."""
    import resource

    _here[0] = wanted
    most, hard = memory_of(wanted), resource.getrlimit(resource.RLIMIT_AS)[1]
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS takes no such limit
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def memory_of(wanted: Limits) -> int:
    """Give the bytes of memory that reading may take on this machine."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # unknown here
        return wanted.memory
    return min(wanted.memory, machine)


def is_shortage(error: BaseException) -> bool:
    """Whether an error says, in one of many ways, that there is no more memory."""
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, RuntimeError) and "start new thread" in str(error))
        or (isinstance(error, ImportError) and "failed to map" in str(error))
    )


def too_large(label: str) -> ScanError:
    """Say that a file needs more memory than it gets."""
    gib = memory_of(limits()) / 2**30
    problem = f"needs more memory than the {gib:.3g} GiB that reading may take"
    return ScanError(label, problem, "Split it into smaller volumes, or use a machine with more memory")
