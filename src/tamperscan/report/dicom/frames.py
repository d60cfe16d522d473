"""Which frame of which file each slice of a scan came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from pydicom.dataset import Dataset

from tamperscan.errors import ScanError
from tamperscan.scan.assemble import frame_digest
from tamperscan.scan.dicom import read_frames
from tamperscan.scan.frames import Frame
from tamperscan.scan.series import Volume, plan_volumes
from tamperscan.scan.sources import Source
from tamperscan.scan.volume import Scan

Slot = tuple[int, int]
"""Index of the file among the sources, and of the frame in it, both from 0."""

_ALTERED: Final = "holds other slices than when it was screened"
_AGAIN: Final = "Screen it again"


def slots_of(scan: Scan, sources: Sequence[Source], headers: Sequence[Dataset]) -> list[Slot]:
    """Find out where each slice came from.

    Parameters
    ----------
    scan
        The scan.
    sources, headers
        Its files, in slice order, and their headers.

    Raises
    ------
    ScanError
        Where the files do not hold the scan's slices any more.
    """
    if len(sources) == scan.shape[0] and all(int(header.get("NumberOfFrames") or 1) == 1 for header in headers):
        return [(index, 0) for index in range(len(sources))]
    frames = _volume(scan, sources).frames
    order = {source.label: index for index, source in enumerate(sources)}
    return [(order[frame.source.label], frame.index) for frame in frames]


def _volume(scan: Scan, sources: Sequence[Source]) -> Volume:
    """Plan the volumes of these files as the reader did, and choose the scan among them."""
    ignored: list[ScanError] = []
    planned = plan_volumes([frame for source in sources for frame in read_frames(source)], frame_digest, ignored.append)
    fitting = [volume for volume in planned if len(volume.frames) == scan.shape[0]]
    if len(fitting) > 1:
        fitting = [volume for volume in fitting if _same_pixels(scan, volume.frames[0])]
    if not fitting:
        raise ScanError(scan.sources[0], _ALTERED, _AGAIN)
    return fitting[0]


def _same_pixels(scan: Scan, first: Frame) -> bool:
    return frame_digest(first) == hashlib.sha256(scan.voxels[0].tobytes()).hexdigest()
