"""Equalisation: a fixed monotone map of HU to the generator's units, and back.

CT-GAN equalises the histogram of its cubes and scales it to [-1, 1] (Mirsky et al., USENIX Security 2019, section 5),
so that thin lung tissue and dense nodules take up as much of the range. Here the map is made once, from the training
cubes, and kept with the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Voxels

LOW_HU: Final = -1050.0
HIGH_HU: Final = 450.0
_KNOTS: Final = 101
# This part of the map is plain scaling: full equalisation is nearly flat between lung and soft tissue, where a small
# error of the generator would be a large one in HU.
_EVEN: Final = 0.5


@dataclass(frozen=True, eq=False)
class Equalisation:
    """A monotone map, linear between its knots.

    Attributes
    ----------
    hu
        float64 ``[knot]``, increasing.
    values
        float64 ``[knot]`` from -1 to 1, increasing.
    """

    hu: NDArray[np.float64]
    values: NDArray[np.float64]

    def equalise(self, hu: Voxels) -> Voxels:
        """Map HU to -1..1, value by value; HU beyond the first and last knot are taken for theirs."""
        equalised: Voxels = np.interp(hu, self.hu, self.values).astype(np.float32)
        return equalised

    def restore(self, values: Voxels) -> Voxels:
        """Map -1..1 back to HU, value by value."""
        restored: Voxels = np.interp(values, self.values, self.hu).astype(np.float32)
        return restored

    def as_dict(self) -> dict[str, list[float]]:
        """Return plain values, for a card."""
        return {"hu": [float(knot) for knot in self.hu], "values": [round(float(value), 6) for value in self.values]}


def fit_equalisation(hu: NDArray[np.generic]) -> Equalisation:
    """Make the map from the HU of training cubes: half their cumulative histogram, half plain scaling.

    Parameters
    ----------
    hu
        HU in any shape.
    """
    knots = np.linspace(LOW_HU, HIGH_HU, _KNOTS)
    counts, _ = np.histogram(np.clip(hu, LOW_HU, HIGH_HU), bins=knots)
    cumulative = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    even = np.linspace(0.0, 1.0, _KNOTS)
    return Equalisation(knots, 2.0 * ((1.0 - _EVEN) * cumulative + _EVEN * even) - 1.0)


def read_equalisation(card: Mapping[str, Any]) -> Equalisation:
    """Read the map from a card that holds `Equalisation.as_dict` as ``equalisation``.

    Raises
    ------
    ForgeError
        If it is missing or not monotone.
    """
    try:
        stored = card["equalisation"]
        hu, values = (np.array(stored[name], dtype=np.float64) for name in ("hu", "values"))
        sound = hu.shape == values.shape and hu.ndim == 1 and len(hu) > 1
        sound = sound and bool((np.diff(hu) > 0).all() and (np.diff(values) > 0).all())
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise ForgeError("The card of the weights holds no equalisation that makes sense. Train the weights anew.")
    return Equalisation(hu, values)
