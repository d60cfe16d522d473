"""Intensity windows: the range of Hounsfield units (or MR signal) that a network or a screen gets to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class IntensityWindow:
    """A range of intensities that is mapped linearly to [-1, 1] (model) or [0, 1] (display).

    Attributes
    ----------
    low, high
        Ends of the window, in HU for CT.

    Raises
    ------
    ValueError
        If the ends are not finite, or ``low`` is not below ``high``.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"a window must go from a lower to a higher value, not from {self.low} to {self.high}")

    @property
    def width(self) -> float:
        """Distance between the ends, in HU for CT."""
        return self.high - self.low

    @property
    def level(self) -> float:
        """Middle of the window, in HU for CT."""
        return (self.low + self.high) / 2

    @property
    def units_per_model_unit(self) -> float:
        """How much one unit of the model's scale is worth, in HU for CT."""
        return self.width / 2

    def to_unit(self, values: ArrayLike) -> NDArray[np.float32]:
        """Map ``values`` (any shape, HU) to float32 in [0, 1]; what lies outside is clipped."""
        scaled = (np.asarray(values, np.float32) - np.float32(self.low)) / np.float32(self.width)
        return np.asarray(np.clip(scaled, 0, 1), np.float32)

    def from_unit(self, values: ArrayLike) -> NDArray[np.float32]:
        """Map ``values`` in [0, 1] (any shape) back to HU, float32."""
        return np.asarray(values, np.float32) * np.float32(self.width) + np.float32(self.low)

    def to_model(self, values: ArrayLike) -> NDArray[np.float32]:
        """Map ``values`` (any shape, HU) to float32 in [-1, 1]; what lies outside is clipped."""
        scaled = (np.asarray(values, np.float32) - np.float32(self.level)) / np.float32(self.width / 2)
        return np.asarray(np.clip(scaled, -1, 1), np.float32)

    def from_model(self, values: ArrayLike) -> NDArray[np.float32]:
        """Map ``values`` in [-1, 1] (any shape) back to HU, float32."""
        return np.asarray(values, np.float32) * np.float32(self.width / 2) + np.float32(self.level)


# Robust against a few bright voxels (vessels, a coil that lies near), and still near the brightest tissue.
SIGNAL_TOP_PERCENT: Final = 99.9


def signal_window(signal: ArrayLike) -> IntensityWindow:
    """Return the window of a scan without absolute units, such as MR: from 0 to the top of its own signal.

    The scale of an MR's signal depends on the receiver, the sequence and the patient; the part of this window is all
    that can be compared between scans. A single slice has a window as well.

    Parameters
    ----------
    signal
        Of any shape; the whole scan, not a part of it, where there is a scan.

    Returns
    -------
    IntensityWindow
        From 0 to the 99.9th percentile; to 1 where the signal does not rise above 0.
    """
    top = float(np.percentile(np.asarray(signal), SIGNAL_TOP_PERCENT))
    return IntensityWindow(0.0, top if top > 0.0 else 1.0)


PUBLISHED_CT: Final = IntensityWindow(-700, 2000)
"""Window of the published detector (Grabovski et al., arXiv 2407.15169)."""

LUNG_NOISE_CT: Final = IntensityWindow(-1050, 450)
"""Keeps the noise of the lungs, which lie below -700 HU."""

LUNG_DISPLAY: Final = IntensityWindow(-1350, 150)
"""How radiologists look at lungs: level -600 HU, width 1500 HU."""

SOFT_DISPLAY: Final = IntensityWindow(-160, 240)
"""Soft tissue: level 40 HU, width 400 HU."""

BONE_DISPLAY: Final = IntensityWindow(-500, 1500)
"""Bone: level 500 HU, width 2000 HU."""
