"""From scores to p-values: how often an authentic scan or slice scores as high.

The p-values are conformal: with n authentic patients, p = (1 + patients that score as high) / (n + 1) (Vovk, Gammerman
and Shafer, Algorithmic Learning in a Random World, 2005). Nothing below 1/(n + 1) can be claimed.

That holds on average over calibrations. With the n patients at hand, the true rate of alarms at alpha is a draw from
Beta(k, n + 1 - k) with k = floor(alpha (n + 1)), if scores don't tie (Vovk, "Conditional validity of inductive
conformal predictors", ACML 2012; Angelopoulos and Bates, arXiv 2107.07511, section 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tamperscan.detect.acquisition import Acquisition
from tamperscan.detect.likeness import LEAST_PATIENTS, adjusted_scores, alike, worth_adjusting

CALIBRATION_FILE = "calibration.json"
# Tampering and anatomy reach over about this much along the body: slices nearer than this are not independent.
INDEPENDENT_MM = 10.0
# Short and long scans that there must be to measure how scores grow.
_LEAST_FOR_GROWTH = 5


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
        By how much the largest of n slice scores grows with log(n).
    acquisitions
        Of the scans of ``scan_scores``, in their order; empty where they were not measured.
    ground
        Acquisitions of all authentic scans, also the further ones of a patient: what the detector can judge.
    patients
        How many patients the scores are of, where parts of their scans were scored as if each were a patient; else
        None.
    set_aside
        Outlying patients that were left out, as they might be tampered with.
    adjusted
        Whether a regression on the acquisition is taken off the scores; see `tamperscan.detect.likeness`.
    likened
        Whether these are only patients whose scans were acquired like the one that is judged.
    """

    scan_scores: NDArray[np.float64]
    slice_scores: NDArray[np.float64]
    slice_weights: NDArray[np.float64]
    growth: float
    acquisitions: tuple[Acquisition, ...] = ()
    ground: tuple[Acquisition, ...] = ()
    patients: int | None = None
    set_aside: int = 0
    adjusted: bool = False
    likened: bool = False

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that so many authentic patients support."""
        return 1.0 / (len(self.scan_scores) + 1)

    @property
    def slice_spread(self) -> float:
        """Standard deviation of the authentic slices' scores, patients counting alike."""
        mean = np.average(self.slice_scores, weights=self.slice_weights)
        return math.sqrt(float(np.average((self.slice_scores - mean) ** 2, weights=self.slice_weights)))

    @property
    def counted(self) -> str:
        """What is counted, in words: "34 authentic patients"."""
        count = len(self.scan_scores)
        what = f"{count} authentic patients"
        if self.patients is not None:
            what = f"{count} parts of authentic scans of {self.patients} patients"
        return f"{what} with a like acquisition" if self.likened else what

    @property
    def too_small_by(self) -> float:
        """By how much p-values can be too small because patients were set aside, if all of those were authentic."""
        return self.set_aside / (len(self.scan_scores) + self.set_aside + 1)

    def for_scan(self, acquisition: Acquisition | None, alarm_rate: float = 0.05) -> Calibration:
        """Return the calibration to judge a scan by: of patients acquired like it, where that is possible.

        Scores and p-values of slices stay those of all patients.

        Parameters
        ----------
        acquisition
            Of the scan; None where it was not measured.
        alarm_rate
            Patients acquired like the scan are compared alone only where there are enough for it, and at least 19.
        """
        if acquisition is None or not acquisition.known or not self.acquisitions:
            return self
        least = max(LEAST_PATIENTS, math.ceil(1.0 / alarm_rate - 1e-9) - 1) if alarm_rate > 0 else math.inf
        chosen = alike(acquisition, self.acquisitions, int(min(least, len(self.scan_scores) + 1)))
        if chosen is not None:
            kept = tuple(one for one, keep in zip(self.acquisitions, chosen, strict=True) if keep)
            return replace(self, scan_scores=self.scan_scores[chosen], acquisitions=kept, adjusted=False, likened=True)
        if not self.adjusted:
            return self
        scores = adjusted_scores(self.scan_scores, self.acquisitions, acquisition)
        return replace(self, scan_scores=np.sort(scores), acquisitions=(), adjusted=False)

    def true_alarm_rate(self, alarm_rate: float) -> tuple[float, float]:
        """Return the 95 % interval of the rate at which unseen authentic scans are alarms, with just these patients."""
        count = len(self.scan_scores)
        alarms = math.floor(alarm_rate * (count + 1) + 1e-9)
        if alarms < 1:
            return 0.0, 0.0
        if alarms > count:
            return 1.0, 1.0
        low, high = special.betaincinv(alarms, count + 1 - alarms, [0.025, 0.975])
        return float(low), float(high)

    def reservations(self, alarm_rate: float) -> tuple[str, ...]:
        """Say what so many patients can't support, one sentence each."""
        sentences = []
        if alarm_rate < self.smallest_p:
            sentences.append(
                f"{self.counted} can't support an alarm rate of {alarm_rate:g}: nothing can be called suspicious below"
                f" {self.smallest_p:.2g}. Calibrate on more patients."
            )
        else:
            low, high = self.true_alarm_rate(alarm_rate)
            sentences.append(
                f"With {self.counted} the true alarm rate behind {alarm_rate:g} lies between {low:.2g} and {high:.2g}"
                " (95 % interval, for scans like theirs)."
            )
        if self.patients is not None:
            sentences.append("Parts of one scan are not independent, so the p-value is less certain than it looks.")
        if self.set_aside:
            sentences.append(
                f"{self.set_aside} outlying patients were set aside when this was calibrated: if they were authentic,"
                f" the p-value is too small by up to {self.too_small_by:.2g}."
            )
        return tuple(sentences)

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
            "acquisitions": [each.as_dict() for each in self.acquisitions],
            "ground": [each.as_dict() for each in self.ground],
            "patients": self.patients,
            "set_aside": self.set_aside,
            "adjusted": self.adjusted,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Calibration:
        """Read what `as_dict` gave; calibrations of before acquisitions were measured have none."""
        return cls(
            np.array(plain["scan_scores"], dtype=np.float64),
            np.array(plain["slice_scores"], dtype=np.float64),
            np.array(plain["slice_weights"], dtype=np.float64),
            float(plain["growth"]),
            acquisitions=tuple(Acquisition.from_dict(each) for each in plain.get("acquisitions", ())),
            ground=tuple(Acquisition.from_dict(each) for each in plain.get("ground", ())),
            patients=plain.get("patients"),
            set_aside=int(plain.get("set_aside", 0)),
            adjusted=bool(plain.get("adjusted", False)),
        )


def calibration_file(head: str) -> str:
    """Name the file of a head's calibration; typicality's is the one that every detector has."""
    return CALIBRATION_FILE if head == "typicality" else f"calibration-{head}.json"


def scan_score(slice_scores: NDArray[np.float64], slice_mm: float, growth: float) -> float:
    """Return the largest slice score less growth x log(number of independent slices); NaN without any."""
    known = slice_scores[np.isfinite(slice_scores)]
    if known.size == 0:
        return math.nan
    return float(known.max()) - growth * _log_count(known.size, slice_mm)


def _log_count(slices: int, slice_mm: float) -> float:
    """Log of the number of independent slices."""
    return math.log(min(max(1.0, slices * slice_mm / INDEPENDENT_MM), slices))


def calibrate(
    patients: Sequence[Sequence[tuple[NDArray[np.float64], float]]],
    acquisitions: Sequence[Sequence[Acquisition]] | None = None,
    *,
    parts_of: int | None = None,
    set_aside: int = 0,
) -> Calibration:
    """Make a calibration from authentic scans.

    Parameters
    ----------
    patients
        For each patient its scans, each as (slice scores, distance between slices in mm). Slices without lung are NaN.
        A patient's scan with most slices is the one that stands for it.
    acquisitions
        Of the same scans, if they were measured.
    parts_of
        Where "patients" are parts of scans: how many patients these are of.
    set_aside
        Outlying patients that were left out.

    Raises
    ------
    ValueError
        If no slice has a score.
    """
    known = [scans for scans in _known_scans(patients, acquisitions) if scans]
    if not known:
        raise ValueError("there is no slice with a score to calibrate on")
    slices = np.concatenate([scores for scans in known for scores, _, _ in scans])
    weights = np.concatenate([_equal_weights(scans) for scans in known])
    longest = [max(scans, key=lambda scan: scan[0].size) for scans in known]
    growth = _growth(longest, _gumbel_scale(slices, weights))
    scan_scores = np.array([scan_score(scores, mm, growth) for scores, mm, _ in longest])
    ascending, order = np.argsort(scan_scores), np.argsort(slices)
    standing = [longest[index][2] for index in ascending]
    measured = tuple(each for each in standing if each is not None)
    return Calibration(
        scan_scores[ascending],
        slices[order],
        weights[order],
        growth,
        acquisitions=measured,
        ground=tuple(each for scans in known for _, _, each in scans if each is not None),
        patients=parts_of,
        set_aside=set_aside,
        adjusted=len(measured) == len(standing) and worth_adjusting(scan_scores[ascending], measured),
    )


_KnownScan = tuple[NDArray[np.float64], float, Acquisition | None]


def _known_scans(
    patients: Sequence[Sequence[tuple[NDArray[np.float64], float]]],
    acquisitions: Sequence[Sequence[Acquisition]] | None,
) -> list[list[_KnownScan]]:
    """Join scores and acquisitions, without slices that have no score and scans that have no such slice."""
    joined = []
    for number, scans in enumerate(patients):
        own: Sequence[Acquisition | None] = [None] * len(scans) if acquisitions is None else acquisitions[number]
        known = [(scores[np.isfinite(scores)], mm, each) for (scores, mm), each in zip(scans, own, strict=True)]
        joined.append([scan for scan in known if scan[0].size])
    return joined


def _equal_weights(scans: Sequence[_KnownScan]) -> NDArray[np.float64]:
    count = sum(scores.size for scores, _, _ in scans)
    return np.full(count, 1.0 / count)


def _growth(longest: Sequence[_KnownScan], gumbel: float) -> float:
    """Measure how the largest score grows with the number of slices, where there are short and long scans.

    Neighbouring slices share their evidence, so that the largest of many is hardly larger than a single slice's, and
    Gumbel's law, which is for independent ones, would hide what is found in long scans. It is the upper limit, and what
    is taken where there is nothing to measure by. The slope is Theil and Sen's, which a few tampered scans don't bend.
    """
    from scipy import stats  # takes half a second, and is needed only to calibrate

    logs = np.array([_log_count(scores.size, mm) for scores, mm, _ in longest])
    if min((logs > 1.0).sum(), (logs < 0.5).sum()) < _LEAST_FOR_GROWTH:
        return gumbel
    slope = float(stats.theilslopes([float(scores.max()) for scores, _, _ in longest], logs).slope)
    return min(max(slope, 0.0), gumbel)


def _gumbel_scale(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Scale of the Gumbel law that maxima follow: standard deviation x sqrt(6) / pi."""
    mean = np.average(scores, weights=weights)
    deviation = math.sqrt(float(np.average((scores - mean) ** 2, weights=weights)))
    return deviation * math.sqrt(6.0) / math.pi
