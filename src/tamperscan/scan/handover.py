"""A scan on its way out of the reader's process: facts as JSON, voxels as memory that both processes see."""

from __future__ import annotations

import fcntl
import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.scan.channel import ChannelError
from tamperscan.scan.volume import Scan


def facts_of(scan: Scan) -> dict[str, Any]:
    """Give all of a scan that is not its voxels."""
    return {
        "shape": scan.shape,
        "spacing_mm": scan.spacing_mm,
        "modality": scan.modality,
        "name": scan.name,
        "warnings": scan.warnings,
        "affine": scan.affine.tolist(),
        "sha256": scan.sha256,
        "sources": scan.sources,
        "metadata": dict(scan.metadata),
    }


def share(voxels: NDArray[np.float32]) -> int:
    """Put voxels, [slice, row, column], where another process can see them; gives a descriptor."""
    file = _new_file()
    left = np.ascontiguousarray(voxels, "<f4").data.cast("B")
    while left:
        left = left[os.write(file, left) :]
    return file


def _new_file() -> int:
    """Open memory without a name; where there is none (macOS), a file that is deleted already."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("voxels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def scan_from(facts: dict[str, Any], file: int) -> Scan:
    """Put a scan together again.

    Parameters
    ----------
    facts
        As `facts_of` gives them.
    file
        As `share` gives it; it is closed.

    Raises
    ------
    ChannelError
        If the facts and the memory don't fit each other.
    """
    try:
        shape = tuple(int(side) for side in facts["shape"])
        return rebuild(facts, _mapped(file, shape))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ChannelError("a scan that is none") from error
    finally:
        os.close(file)


def rebuild(facts: Mapping[str, Any], voxels: NDArray[np.float32]) -> Scan:
    """Put a scan together from facts, as `facts_of` gives them, and voxels, [slice, row, column].

    Raises
    ------
    KeyError, TypeError, ValueError, AttributeError
        If these are no facts of a scan.
    """
    first, second, third = (float(step) for step in facts["spacing_mm"])
    return Scan(
        voxels=voxels,
        spacing_mm=(first, second, third),
        modality=str(facts["modality"]),
        name=str(facts["name"]),
        warnings=tuple(str(one) for one in facts["warnings"]),
        affine=np.array(facts["affine"], np.float64).reshape(4, 4),
        sha256=str(facts["sha256"]),
        sources=tuple(str(one) for one in facts["sources"]),
        metadata={str(keyword): str(value) for keyword, value in facts["metadata"].items()},
    )


def seal(file: int) -> None:
    """See to it that the other process can no longer change shared memory or take it away; nothing on macOS."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)


def _mapped(file: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Voxels that may be written to; nobody else sees that, nor can change them or take them away."""
    seal(file)
    size = math.prod(shape) * 4
    if len(shape) != 3 or min(shape) < 1 or os.fstat(file).st_size != size:
        raise ValueError("voxels of another shape")
    memory = mmap.mmap(file, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(memory, "<f4").astype(np.float32, copy=False).reshape(shape)
