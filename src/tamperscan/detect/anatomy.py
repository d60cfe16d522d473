"""What a detector looks at, by modality: the region of a slice, its tissues, and the words for them.

A `Viewer` is made for a whole scan, because the signal of an MR has no unit: what is bright, what is air and what is
noise can only be said beside the rest of the same scan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.regions import Tissues, lung_mask, tissues
from tamperscan.detect.regions_mr import body_mask, find_air, mr_tissues
from tamperscan.scan.windows import LUNG_NOISE_CT, IntensityWindow, signal_window

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Viewer(Protocol):
    """How the slices of one scan are looked at."""

    @property
    def window(self) -> IntensityWindow | None:
        """The scan's own window; None where the one of the network's card holds for every scan."""
        ...

    def region(self, image: Image, spacing_mm: tuple[float, float]) -> Mask:
        """Return bool ``[row, column]``: where to look in a slice."""
        ...

    def tissues(self, image: Image, region: Mask) -> Tissues:
        """Divide that region by what can be compared with what."""
        ...

    def in_hu(self, image: Image) -> Image:
        """Return the slice in HU, or on the scale of HU where the scan has no units."""
        ...


@dataclass(frozen=True)
class Anatomy:
    """What a detector of one modality looks at.

    Attributes
    ----------
    name
        In a sentence.
    region
        The word for where it looks.
    tissue_words
        The words for the tissues, by their names.
    least_cm2
        A slice with less of the region has no "rest" to compare a place with.
    nothing_found
        What to say when no slice can be measured.
    view
        Makes the `Viewer` of a scan from its voxels, float32 ``[slice, row, column]``.
    """

    name: str
    region: str
    tissue_words: Mapping[str, str]
    least_cm2: float
    nothing_found: str
    view: Callable[[NDArray[np.float32]], Viewer]


class _ChestView:
    """The lungs of a chest CT; Hounsfield units need nothing from the rest of the scan."""

    window: IntensityWindow | None = None

    def region(self, image: Image, spacing_mm: tuple[float, float]) -> Mask:
        return lung_mask(image, spacing_mm)

    def tissues(self, image: Image, region: Mask) -> Tissues:
        return tissues(image, region)

    def in_hu(self, image: Image) -> Image:
        return image


class _BodyView:
    """The body in an MR, with its signal measured by the scan's own range."""

    def __init__(self, voxels: NDArray[np.float32]) -> None:
        self.window = signal_window(voxels)
        self._air = find_air(voxels, self.window)

    def region(self, image: Image, spacing_mm: tuple[float, float]) -> Mask:
        return body_mask(image, self._air, spacing_mm)

    def tissues(self, image: Image, region: Mask) -> Tissues:
        return mr_tissues(image, region, self._air)

    def in_hu(self, image: Image) -> Image:
        return LUNG_NOISE_CT.from_unit(self.window.to_unit(image))


CHEST_CT: Final = Anatomy(
    name="chest CT",
    region="lung",
    tissue_words=MappingProxyType({"parenchyma": "lung tissue", "between": "vessel and border", "soft": "soft tissue"}),
    least_cm2=15.0,
    nothing_found="No lung was found in any slice: this detector is calibrated for the lungs of chest CT.",
    view=lambda voxels: _ChestView(),
)

MR_BODY: Final = Anatomy(
    name="MR",
    region="body",
    tissue_words=MappingProxyType(
        {"parenchyma": "even tissue", "between": "edges between tissues", "soft": "bright tissue"}
    ),
    least_cm2=15.0,
    nothing_found="No body was found in any slice whose signal stands out of the noise: there is nothing to measure.",
    view=_BodyView,
)

_ANATOMIES: Final = MappingProxyType({"CT": CHEST_CT, "MR": MR_BODY})


def anatomy_of(modality: str) -> Anatomy:
    """Return what a detector of a modality, ``"CT"`` or ``"MR"``, looks at."""
    return _ANATOMIES[modality]
