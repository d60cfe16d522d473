"""What a DICOM folder tells before any pixel is decoded: how many slices, how large, and which file is which."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tamperscan.errors import ScanError
from tamperscan.scan.assemble import frame_digest
from tamperscan.scan.collect import collect
from tamperscan.scan.dicom import read_frames
from tamperscan.scan.frames import Frame
from tamperscan.scan.series import plan_volumes


@dataclass(frozen=True)
class Outline:
    """A scan as its headers describe it.

    Attributes
    ----------
    shape
        Number of (slices, rows, columns).
    files
        File names without their endings, in slice order.
    """

    shape: tuple[int, int, int]
    files: tuple[str, ...]


def read_outline(path: Path) -> Outline:
    """Read the headers of the one DICOM volume in a file or folder; slices come in the order of `read_scan`.

    Raises
    ------
    ScanError
        If there is no volume, or more than one.
    """
    with ExitStack() as opened:
        frames: list[Frame] = []
        for source in collect(path, opened, _pass_over):
            try:
                frames += read_frames(source)
            except ScanError as error:
                _pass_over(error)
        volumes = plan_volumes(frames, frame_digest, _pass_over)
    if len(volumes) != 1:
        raise ScanError(path, f"holds {len(volumes)} DICOM volumes instead of one", "Download the data set again")
    (volume,) = volumes
    first = volume.frames[0]
    return Outline((len(volume.frames), first.rows, first.columns), tuple(one.source.stem for one in volume.frames))


def _pass_over(error: ScanError) -> None:
    """Leave it to the reading of the whole scan to tell what can't be read."""
