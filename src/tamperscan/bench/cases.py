"""What detectors are measured on: scans, tampered or authentic, and the places in them that are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

AUTHENTIC = "authentic"
"""The generator of scans that nobody tampered with."""

Task = Literal["inject", "remove"]
Kind = Literal["injected", "removed", "nodule", "healthy"]


@dataclass(frozen=True)
class Target:
    """A known place in a scan.

    Attributes
    ----------
    slice, row, column
        Voxel index.
    kind
        ``"injected"`` or ``"removed"`` where it was tampered with; ``"nodule"`` (a real one) or ``"healthy"`` where
        it is authentic.
    """

    slice: int
    row: int
    column: int
    kind: Kind


@dataclass(frozen=True)
class Case:
    """One scan with what is known about it.

    Attributes
    ----------
    name
        Unique among the cases of a run.
    group
        Patient or source scan; resampled as a whole, and never on both sides of a split.
    modality
        ``"CT"`` or ``"MR"``.
    generator
        What it was tampered with (``"ct-gan"``, ``"diffusion"``, ...), or `AUTHENTIC`.
    task
        None for authentic scans.
    scan
        File or folder that `tamperscan.read_scan` takes.
    targets
        Known places.
    mask
        NIfTI or NumPy file of the tampered voxels, where they are known.
    scanner
        Manufacturer, model and kernel as far as they are known; what "unseen scanner" is decided by.
    spacing_mm
        Distance of voxels along (slice, row, column) for files that hold none; None to take the file's own.
    """

    name: str
    group: str
    modality: str
    generator: str
    task: Task | None
    scan: Path
    targets: tuple[Target, ...] = ()
    mask: Path | None = None
    scanner: str = ""
    spacing_mm: tuple[float, float, float] | None = None

    @property
    def tampered(self) -> bool:
        """Whether it was tampered with."""
        return self.task is not None
