"""What a scan is: voxels with their geometry, and what its reader had to warn about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

LOSSY: Final = "Lossy compression"
"""How the warning begins that the pixels went through lossy compression."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One volume of one series.

    Attributes
    ----------
    voxels
        float32 ``[slice, row, column]``; Hounsfield units for CT, the stored signal for MR. Pixel padding is
        -1024 HU in CT and 0 in MR.
    spacing_mm
        Distance between the centres of neighbouring voxels along (slice, row, column), in mm.
    modality
        DICOM modality, ``"CT"`` or ``"MR"``.
    name
        Short name for people and for output folders: letters, digits, ``.``, ``_`` and ``-`` only.
    warnings
        What was unusual about the input, one sentence each (gaps, duplicates, lossy compression, ...).
    affine
        float64 ``[4, 4]``: voxel index (slice, row, column, 1) to patient position in mm (DICOM LPS axes,
        PS3.3 C.7.6.2).
    sha256
        SHA-256 of the pixel data as read: the voxels as little-endian float32 in C order after the shape.
    sources
        The files that the scan came from, in slice order (one entry for a volume file).
    metadata
        Further facts about the acquisition, such as ``"Manufacturer"``, ``"ConvolutionKernel"`` or
        ``"SeriesInstanceUID"`` (DICOM keywords). Nothing that names the patient.
    """

    voxels: NDArray[np.float32]
    spacing_mm: tuple[float, float, float]
    modality: str
    name: str
    warnings: tuple[str, ...] = ()
    affine: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    sha256: str = ""
    sources: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def lossy(self) -> bool:
        """Whether the pixels went through lossy compression, as far as the files say."""
        return any(warning.startswith(LOSSY) for warning in self.warnings)

    @property
    def axial(self) -> bool:
        """Whether the slices lie across the body's long axis (within 45 degrees)."""
        normal = self.affine[:3, 0]
        return bool(abs(normal[2]) > 0.7 * np.linalg.norm(normal))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of (slices, rows, columns)."""
        slices, rows, columns = self.voxels.shape
        return slices, rows, columns


def pixel_sha256(voxels: NDArray[np.float32]) -> str:
    """SHA-256 of a volume's shape and voxels, the same on every machine and for every lossless encoding.

    Parameters
    ----------
    voxels
        float32 ``[slice, row, column]``.

    Returns
    -------
    str
        64 hexadecimal digits: the digest of the shape as text, then of each slice as little-endian float32
        in C order.
    """
    digest = hashlib.sha256(repr(tuple(int(side) for side in voxels.shape)).encode())
    for plane in voxels:
        digest.update(np.ascontiguousarray(plane, dtype="<f4").data)
    return digest.hexdigest()
