"""From scores to p-values: how often an authentic scan or slice scores as high.

The p-values are conformal: with n authentic patients, p = (1 + patients that score as high) / (n + 1) (Vovk, Gammerman
and Shafer, Algorithmic Learning in a Random World, 2005). Nothing below 1/(n + 1) can be claimed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Tampering and anatomy reach over about this much along the body: slices nearer than this are not independent.
INDEPENDENT_MM = 10.0


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of authentic patients, none of them used to train the typicality that scored them.

    Attributes
    ----------
    scan_scores
        float64 ``[patient]``, ascending: one scan a patient.
    slice_scores
        float64 ``[slice]``, ascending, of all slices.
    slice_weights
        float64 ``[slice]``: the slices of a patient sum to one.
    growth
        By how much the largest of n independent slice scores grows with log(n).
    """

    scan_scores: NDArray[np.float64]
    slice_scores: NDArray[np.float64]
    slice_weights: NDArray[np.float64]
    growth: float

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that so many authentic patients support."""
        return 1.0 / (len(self.scan_scores) + 1)

    def scan_score(self, slice_scores: NDArray[np.float64], slice_mm: float) -> float:
        """Return the largest slice score, less what it grows by when there are many slices.

        Parameters
        ----------
        slice_scores
            float64 ``[slice]``; NaN where nothing was measured.
        slice_mm
            Distance between slices in mm.
        """
        return scan_score(slice_scores, slice_mm, self.growth)

    def scan_p_value(self, score: float) -> float:
        """Return the chance that an authentic scan scores this high.

        Raises
        ------
        ValueError
            If the score is NaN: there was nothing to measure, and so nothing to say.
        """
        if math.isnan(score):
            raise ValueError("a scan in which nothing was measured has no p-value")
        reached = int((self.scan_scores >= score).sum())
        return (1 + reached) / (len(self.scan_scores) + 1)

    def slice_p_value(self, score: float) -> float:
        """Return the chance that an authentic slice scores this high, patients counting alike."""
        first = int(np.searchsorted(self.slice_scores, score, side="left"))
        patients = float(self.slice_weights.sum())
        return (1.0 + float(self.slice_weights[first:].sum())) / (patients + 1.0)

    def score_at(self, p_value: float) -> float:
        """Return the lowest scan score whose p-value is at or under the given one; infinity if there is none."""
        allowed = math.floor(p_value * (len(self.scan_scores) + 1) + 1e-9) - 1
        if allowed < 0:
            return math.inf
        if allowed >= len(self.scan_scores):
            return -math.inf
        return float(np.nextafter(self.scan_scores[len(self.scan_scores) - 1 - allowed], math.inf))

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {
            "scan_scores": self.scan_scores.tolist(),
            "slice_scores": self.slice_scores.tolist(),
            "slice_weights": self.slice_weights.tolist(),
            "growth": self.growth,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Calibration:
        """Read what `as_dict` gave."""
        return cls(
            np.array(plain["scan_scores"], dtype=np.float64),
            np.array(plain["slice_scores"], dtype=np.float64),
            np.array(plain["slice_weights"], dtype=np.float64),
            float(plain["growth"]),
        )


def scan_score(slice_scores: NDArray[np.float64], slice_mm: float, growth: float) -> float:
    """Return the largest slice score less growth x log(number of independent slices); NaN without any."""
    known = slice_scores[np.isfinite(slice_scores)]
    if known.size == 0:
        return math.nan
    independent = max(1.0, known.size * slice_mm / INDEPENDENT_MM)
    return float(known.max()) - growth * math.log(min(independent, known.size))


def calibrate(patients: Sequence[Sequence[tuple[NDArray[np.float64], float]]]) -> Calibration:
    """Make a calibration from authentic scans.

    Parameters
    ----------
    patients
        For each patient its scans, each as (slice scores, distance between slices in mm). Slices without lung are NaN.
        A patient's scan with most slices is the one that stands for it.

    Raises
    ------
    ValueError
        If no slice has a score.
    """
    known = [[(scores[np.isfinite(scores)], mm) for scores, mm in scans] for scans in patients]
    known = [[scan for scan in scans if scan[0].size] for scans in known]
    known = [scans for scans in known if scans]
    if not known:
        raise ValueError("there is no slice with a score to calibrate on")
    slices = np.concatenate([scores for scans in known for scores, _ in scans])
    weights = np.concatenate([_equal_weights(scans) for scans in known])
    growth = _gumbel_scale(slices, weights)
    longest = [max(scans, key=lambda scan: scan[0].size) for scans in known]
    scans_scores = np.sort([scan_score(scores, mm, growth) for scores, mm in longest])
    order = np.argsort(slices)
    return Calibration(scans_scores, slices[order], weights[order], growth)


def _equal_weights(scans: Sequence[tuple[NDArray[np.float64], float]]) -> NDArray[np.float64]:
    count = sum(scores.size for scores, _ in scans)
    return np.full(count, 1.0 / count)


def _gumbel_scale(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Scale of the Gumbel law that maxima follow: standard deviation x sqrt(6) / pi."""
    mean = np.average(scores, weights=weights)
    deviation = math.sqrt(float(np.average((scores - mean) ** 2, weights=weights)))
    return deviation * math.sqrt(6.0) / math.pi
