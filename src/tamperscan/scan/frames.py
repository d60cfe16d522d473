"""What the reader must know of one image plane before any pixel is decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tamperscan.scan.sources import Source

Vector = tuple[float, float, float]


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One image plane of one DICOM file, as its header describes it.

    Attributes
    ----------
    source, index, count
        The file, which of its frames this is (from 0), and how many it has.
    series
        What groups frames: the SeriesInstanceUID, or the folder where a file has none.
    modality
        ``"CT"`` or ``"MR"``.
    rows, columns
        Size in pixels.
    row_axis, column_axis
        Unit vectors, patient axes (LPS): where the column index and where the row index grows
        (the first and last three values of ImageOrientationPatient); None if unknown.
    position
        Centre of the first pixel in mm (ImagePositionPatient); None if unknown.
    pixel_spacing
        Distance between rows and between columns, in mm; None if unknown.
    slice_step, thickness
        SpacingBetweenSlices and SliceThickness in mm; None if unknown.
    slice_location, instance_number, tilt
        As in the header; ``tilt`` is GantryDetectorTilt in degrees.
    image_type
        ImageType, or the frame's FrameType.
    lookup
        Values that may tell stacks at the same place apart, by DICOM keyword.
    description
        SeriesDescription or, without one, ``series`` and the series number.
    """

    source: Source
    index: int
    count: int
    series: str
    modality: str
    rows: int
    columns: int
    row_axis: Vector | None
    column_axis: Vector | None
    position: Vector | None
    pixel_spacing: tuple[float, float] | None
    slice_step: float | None
    thickness: float | None
    slice_location: float | None
    instance_number: float | None
    tilt: float
    image_type: tuple[str, ...]
    lookup: Mapping[str, str] = field(default_factory=dict)
    description: str = ""

    @property
    def label(self) -> str:
        """The file, and the frame number (from 1) where there are several."""
        return self.source.label if self.count == 1 else f"{self.source.label} (frame {self.index + 1})"

    @property
    def nominal_step(self) -> float | None:
        """The distance to the next slice that the header states, in mm."""
        return self.slice_step or self.thickness

    @property
    def is_localizer(self) -> bool:
        """Whether this is a scout view, made to plan the scan."""
        return "LOCALIZER" in self.image_type

    @property
    def axes(self) -> NDArray[np.float64]:
        """float64 ``[3, 3]``: unit vectors along slice, row and column index; axial if unknown."""
        if self.row_axis is None or self.column_axis is None:
            return np.eye(3)[::-1].copy()
        along_columns, along_rows = np.array(self.row_axis), np.array(self.column_axis)
        return np.stack([np.cross(along_columns, along_rows), along_rows, along_columns])
