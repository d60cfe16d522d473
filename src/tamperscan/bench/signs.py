"""Whether much or little energy is suspicious, and how much of it: learned from authentic scans alone.

The energy of a place is a power of noise, of residuals or of errors, so halving and doubling are alike: everything is
told on a logarithmic scale. One unit of suspicion is what nine of ten authentic slices stay below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tamperscan.bench.metrics import equal_weights, weighted_quantile
from tamperscan.errors import BenchError

Sides = Literal["up", "both"]
"""What is suspicious: much energy alone, or both much and little."""
SIDES: Final = get_args(Sides)

_STAY_BELOW = 0.9
# Energies below this part of the usual one are as good as none.
_FLOOR = 1e-6

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sign:
    """How an energy lies in authentic scans.

    Attributes
    ----------
    usual
        Logarithm of its median; patients count alike.
    above, below
        How far from there nine of ten authentic slices stay, at their highest and at their lowest.
    patients, slices
        What it was learned from.
    """

    usual: float
    above: float
    below: float
    patients: int
    slices: int

    def suspicion(self, energy: ArrayLike, sides: Sides) -> NDArray[np.float32]:
        """Turn energies (any shape, not negative) into suspicion; larger is more suspicious."""
        off = _logarithm(energy, math.exp(self.usual) * _FLOOR) - self.usual
        up = off / self.above
        found: NDArray[np.float32] = (up if sides == "up" else np.maximum(up, -off / self.below)).astype(np.float32)
        return found


def learn_sign(slices: Sequence[ArrayLike], patients: Sequence[str]) -> Sign:
    """Learn how an energy lies in authentic scans.

    Parameters
    ----------
    slices
        For each calibration slice the energies of its places ``[place]``, not negative; empty ones are left out. For
        patches, each is a slice of one place.
    patients
        For each slice the patient; patients count alike.

    Raises
    ------
    BenchError
        If there is no energy above zero.
    """
    kept = [(np.ravel(np.asarray(one, np.float64)), name) for one, name in zip(slices, patients, strict=True)]
    kept = [(values[np.isfinite(values)], name) for values, name in kept if np.isfinite(values).any()]
    values = np.concatenate([values for values, _ in kept]) if kept else np.zeros(0)
    weights = equal_weights([name for values, name in kept for _ in values])
    middle = weighted_quantile(values, 0.5, weights)
    if not middle > 0:
        middle = float(values.mean()) if values.size else 0.0
    if not middle > 0:
        raise BenchError("the authentic scans give no energy at all, so nothing can be compared with them.")
    names = [name for _, name in kept]
    tops, bottoms = zip(*(_ends(values, middle) for values, _ in kept), strict=True)
    usual = math.log(middle)
    return Sign(
        usual=usual,
        above=_reach([top - usual for top in tops], names),
        below=_reach([usual - bottom for bottom in bottoms], names),
        patients=len(set(names)),
        slices=len(kept),
    )


def as_dict(sign: Sign) -> Mapping[str, float]:
    """Return plain values, for the record."""
    return dict(vars(sign))


def _ends(values: Array, middle: float) -> tuple[float, float]:
    logarithms = _logarithm(values, middle * _FLOOR)
    return float(logarithms.max()), float(logarithms.min())


def _reach(distances: Sequence[float], names: Sequence[str]) -> float:
    """Return what nine of ten stay below, every patient counting alike; never nothing, which could divide by none."""
    return max(weighted_quantile(distances, _STAY_BELOW, equal_weights(names)), 1e-3)


def _logarithm(energy: ArrayLike, floor: float) -> Array:
    return np.log(np.maximum(np.asarray(energy, np.float64), floor))
