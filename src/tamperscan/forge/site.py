"""A place in a scan, and the surroundings of it that a forging method works on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ForgeError
from tamperscan.scan.volume import Scan

REGION_MM: Final = 32.0
"""Side of the cube that is altered; CT-GAN's (Mirsky et al., USENIX Security 2019, section 5)."""

MARGIN_MM: Final = 16.0
"""What a method sees around that cube."""

Voxels = NDArray[np.float32]
Mask = NDArray[np.bool_]
Index = tuple[int, int, int]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class Place:
    """Where to tamper.

    Attributes
    ----------
    slice, row, column
        Voxel index of the centre.
    diameter_mm
        Size of the lesion that is put in or taken out.
    """

    slice: int
    row: int
    column: int
    diameter_mm: float = 12.0

    @property
    def index(self) -> Index:
        """Voxel index (slice, row, column)."""
        return self.slice, self.row, self.column


@dataclass(frozen=True, eq=False)
class Site:
    """The surroundings of a place, cut out of a scan.

    Attributes
    ----------
    scan
        The whole authentic scan; methods read from it and never write to it.
    voxels
        float32 ``[slice, row, column]``: the part of the scan around the place, in its units. Read-only.
    start
        Voxel index in the scan of the first voxel of the part.
    centre
        Voxel index of the place in the part.
    diameter_mm
        Size of the lesion.
    region_mm
        Side of the cube around the place that may be altered.
    """

    scan: Scan
    voxels: Voxels
    start: Index
    centre: Index
    diameter_mm: float
    region_mm: float = REGION_MM

    @property
    def spacing_mm(self) -> Spacing:
        """Distance of voxels along (slice, row, column)."""
        return self.scan.spacing_mm

    @property
    def planar(self) -> bool:
        """Whether the scan is a single slice, so that only the 2-D form of a method is possible."""
        return self.scan.shape[0] == 1

    @property
    def box(self) -> tuple[slice, slice, slice]:
        """Where the part lies in the scan."""
        first, second, third = (
            slice(begin, begin + side) for begin, side in zip(self.start, self.voxels.shape, strict=True)
        )
        return first, second, third

    def offsets_mm(self) -> tuple[Voxels, Voxels, Voxels]:
        """Return each voxel's offset from the place along (slice, row, column), as arrays that broadcast."""
        first, second, third = np.ogrid[tuple(slice(0, side) for side in self.voxels.shape)]
        along = zip((first, second, third), self.centre, self.spacing_mm, strict=True)
        a, b, c = (((axis - middle) * step).astype(np.float32) for axis, middle, step in along)
        return a, b, c

    def distance_mm(self) -> Voxels:
        """Return float32 ``[slice, row, column]``: each voxel's distance from the place."""
        along, down, across = self.offsets_mm()
        distance: Voxels = np.sqrt(along**2 + down**2 + across**2)
        return distance

    def alterable(self) -> Mask:
        """Return bool ``[slice, row, column]``: the cube that may be altered."""
        half = self.region_mm / 2.0
        along, down, across = (np.abs(offset) <= half for offset in self.offsets_mm())
        cube: Mask = along & down & across
        return cube


def cut_site(scan: Scan, place: Place, *, region_mm: float = REGION_MM, margin_mm: float = MARGIN_MM) -> Site:
    """Cut the surroundings of a place out of a scan; less of them at the scan's border.

    Parameters
    ----------
    scan
        An authentic scan.
    place
        Where to tamper.
    region_mm
        Side of the cube that may be altered.
    margin_mm
        How much to see around that cube.

    Raises
    ------
    ForgeError
        If the place lies outside the scan, or the lesion does not fit the cube.
    """
    check_place(scan, place, region_mm=region_mm)
    reach = region_mm / 2.0 + margin_mm
    start, stop = [], []
    for middle, side, step in zip(place.index, scan.shape, scan.spacing_mm, strict=True):
        half = math.ceil(reach / step)
        start.append(max(0, middle - half))
        stop.append(min(side, middle + half + 1))
    voxels = scan.voxels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))].copy()
    voxels.flags.writeable = False
    centre = tuple(middle - first for middle, first in zip(place.index, start, strict=True))
    return Site(
        scan=scan,
        voxels=voxels,
        start=(start[0], start[1], start[2]),
        centre=(centre[0], centre[1], centre[2]),
        diameter_mm=place.diameter_mm,
        region_mm=region_mm,
    )


def check_place(scan: Scan, place: Place, *, region_mm: float = REGION_MM) -> None:
    """Refuse a place outside the scan, and a lesion that does not fit the cube.

    Raises
    ------
    ForgeError
        With what would fit.
    """
    if not all(0 <= index < side for index, side in zip(place.index, scan.shape, strict=True)):
        raise ForgeError(
            f"{scan.name}: slice {place.slice}, row {place.row}, column {place.column} lies outside the scan, which "
            f"has {scan.shape[0]} slices of {scan.shape[1]} x {scan.shape[2]} pixels. Indices begin at 0."
        )
    if not 0.0 < place.diameter_mm <= region_mm:
        raise ForgeError(
            f"{scan.name}: a lesion of {place.diameter_mm:g} mm does not fit the region of {region_mm:g} mm that is "
            f"altered. Choose a diameter between 0 and {region_mm:g} mm, or a larger region."
        )
