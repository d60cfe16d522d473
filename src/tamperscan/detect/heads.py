"""The heads of a detector: ways from what was measured in a slice to evidence against its places.

``typicality`` knows what authentic windows look like and nothing of tampering. ``self-forged`` was shown forgeries made
on the fly from authentic scans. ``combined`` adds the two, each in the unit of how much authentic slices differ by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.self_forged import FACTS_FILE, HEAD_FILE, suspicion_of_odds
from tamperscan.detect.statistics import WindowStatistics
from tamperscan.detect.typicality import Evidence, Typicality, evidence
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import WeightsError
from tamperscan.safe_json import parse_json

HeadName = Literal["typicality", "self-forged", "combined"]
HEADS: Final[tuple[HeadName, ...]] = get_args(HeadName)
TYPICALITY_FILE = "typicality.json"
COMBINATION_FILE = "combined.json"


@dataclass(frozen=True, eq=False)
class PlaceEvidence:
    """A slice's evidence on the coarse grid, by whichever head.

    Attributes
    ----------
    suspicion
        float32 ``[row, column]``, 0 or more; NaN outside the lung (in MR: the body).
    typical
        What it owes to typicality; None if nothing.
    odds
        float32 ``[row, column]``: log-odds that the place was altered; None if they were not asked for.
    """

    suspicion: NDArray[np.float32]
    typical: Evidence | None = None
    odds: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Combination:
    """How two heads are added.

    Attributes
    ----------
    typicality_spread, odds_spread
        Standard deviations of the authentic slices' highest suspicion by either head.
    """

    typicality_spread: float
    odds_spread: float

    def as_dict(self) -> dict[str, float]:
        """Return plain values, for JSON."""
        return {"typicality_spread": self.typicality_spread, "odds_spread": self.odds_spread}


@dataclass(frozen=True, eq=False)
class Head:
    """Turns measurements into evidence.

    Attributes
    ----------
    name
        One of `HEADS`.
    typicality
        What authentic windows are like; not used by ``self-forged``.
    members
        Members of the self-forged head that count; None for all.
    combination
        Only needed by ``combined``.
    """

    name: HeadName
    typicality: Typicality
    members: tuple[int, ...] | None = None
    combination: Combination | None = None

    def evidence(
        self, statistics: WindowStatistics, odds: NDArray[np.float32] | None, spacing_mm: tuple[float, float]
    ) -> PlaceEvidence:
        """Return a slice's evidence.

        Parameters
        ----------
        statistics
            Of the slice's windows.
        odds
            float32 ``[member, row, column]``: log-odds of its places; the head ``typicality`` needs none.
        spacing_mm
            Distance between (rows, columns) in mm.
        """
        if self.name == "typicality":
            typical = evidence(statistics, self.typicality, spacing_mm)
            return PlaceEvidence(typical.suspicion, typical)
        assert odds is not None  # the detector measures them for these heads
        mean, suspicion = suspicion_of_odds(odds, self.members)
        if self.name == "self-forged":
            return PlaceEvidence(suspicion, odds=mean)
        assert self.combination is not None  # the detector reads it for this head
        typical = evidence(statistics, self.typicality, spacing_mm)
        both = combined(typical.suspicion, suspicion, self.combination)
        return PlaceEvidence(both, typical, mean)


def combined(
    typical: NDArray[np.float32], altered: NDArray[np.float32], combination: Combination
) -> NDArray[np.float32]:
    """Add the suspicion of two heads in units of their spread; a place that one of them can't judge counts 0 there."""
    parts = [
        np.nan_to_num(typical) / combination.typicality_spread,
        np.nan_to_num(altered) / combination.odds_spread,
    ]
    known = np.isfinite(typical) | np.isfinite(altered)
    return np.where(known, sum(parts), np.float32(np.nan)).astype(np.float32)


def heads_in(weights: Weights) -> tuple[HeadName, ...]:
    """Say which heads weights hold, whether calibrated or not."""
    return HEADS if {HEAD_FILE, FACTS_FILE} <= weights.card.files.keys() else ("typicality",)


def read_combination(weights: Weights) -> Combination:
    """Read how the heads of weights are added.

    Raises
    ------
    WeightsError
        If that was not measured, or is damaged.
    """
    try:
        plain = parse_json((weights.folder / COMBINATION_FILE).read_bytes())
        return Combination(float(plain["typicality_spread"]), float(plain["odds_spread"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise WeightsError(
            f"{weights.folder}: does not say how its heads are combined ({error}). Run 'tamperscan calibrate' on it."
        ) from error
