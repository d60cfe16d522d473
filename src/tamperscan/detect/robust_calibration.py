"""Make the calibration of any head from its scores of authentic patients, robustly against a few tampered ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import Acquisition
from tamperscan.detect.calibration import Calibration, calibrate, scan_score
from tamperscan.detect.outliers import outlying

# Width of the middle half of the Gumbel law of scale one: log(log 4 / log(4/3)).
_MIDDLE_HALF = 1.5725


@dataclass(frozen=True, eq=False)
class ScoredScan:
    """An authentic scan's scores, by whatever head.

    Attributes
    ----------
    name
        Name of the scan.
    slice_scores
        float64 ``[slice]``; NaN where nothing was measured.
    slice_mm
        Distance between slices in mm.
    acquisition
        Of the scan.
    """

    name: str
    slice_scores: NDArray[np.float64]
    slice_mm: float
    acquisition: Acquisition


@dataclass(frozen=True)
class SetAside:
    """A patient who scores so much higher than the others that the scan had better be looked at.

    Attributes
    ----------
    patient, scan
        Whose it is, and the name of the scan.
    score
        Score of the scan.
    highest_kept
        Highest score among the patients that were kept.
    """

    patient: str
    scan: str
    score: float
    highest_kept: float

    def __str__(self) -> str:
        """Ask for it to be looked at."""
        return (
            f"{self.scan} (patient {self.patient}) scores {self.score:.3g}, far above the others (at most"
            f" {self.highest_kept:.3g}). It was set aside: nothing was learned from it. Look at it."
        )


def calibrate_robustly(
    patients: Sequence[str], score: Callable[[Sequence[str]], Mapping[str, Sequence[ScoredScan]]]
) -> tuple[Calibration, tuple[SetAside, ...]]:
    """Calibrate a head, without the patients that score far above the others.

    Parameters
    ----------
    patients
        All of them.
    score
        Called with the patients to learn from; gives the scans of all patients, scored without a say of the patient.
        Called a second time where patients are set aside.

    Returns
    -------
    Calibration, tuple of SetAside
        Of the patients that were kept; those that were not.
    """
    scored = score(patients)
    suspects = _suspects(scored)
    if suspects:
        # Without them the others' spread is smaller, so that they and perhaps more of their kind stand out further.
        scored = score([patient for patient in patients if patient not in suspects])
        suspects = _suspects(scored)
    kept = {name: scans for name, scans in scored.items() if name not in suspects}
    calibration = calibrate_scores(kept, len(suspects))
    aside = []
    for name in suspects:
        highest, scan = _highest(scored[name], calibration.growth)
        aside.append(SetAside(name, scan, highest, float(calibration.scan_scores[-1])))
    return calibration, tuple(aside)


def calibrate_scores(patients: Mapping[str, Sequence[ScoredScan]], set_aside: int = 0) -> Calibration:
    """Make the calibration of any head from its scores of authentic patients.

    Parameters
    ----------
    patients
        The scored scans of each patient; no patient had a say in what scored it.
    set_aside
        Outlying patients that were left out.
    """
    return calibrate(
        [[(scan.slice_scores, scan.slice_mm) for scan in scans] for scans in patients.values()],
        [[scan.acquisition for scan in scans] for scans in patients.values()],
        set_aside=set_aside,
    )


def _suspects(scored: Mapping[str, Sequence[ScoredScan]]) -> list[str]:
    """Name the outlying patients, highest first; a patient scores as high as the highest of its scans."""
    growth = robust_growth(calibrate_scores(scored))
    highest = {name: _highest(scans, growth)[0] for name, scans in scored.items()}
    known = {name: score for name, score in highest.items() if np.isfinite(score)}
    names = list(known)
    return [names[index] for index in outlying(np.array(list(known.values())))]


def robust_growth(calibration: Calibration) -> float:
    """Return the growth with the number of slices by the middle half of the slice scores.

    A few tampered slices would widen the standard deviation that the calibration takes it from, and with it the spread
    between short and long scans.
    """
    shares = (np.cumsum(calibration.slice_weights) - 0.5 * calibration.slice_weights) / calibration.slice_weights.sum()
    low, high = np.interp((0.25, 0.75), shares, calibration.slice_scores)
    return float(high - low) / _MIDDLE_HALF


def _highest(scans: Sequence[ScoredScan], growth: float) -> tuple[float, str]:
    scores = [(scan_score(scan.slice_scores, scan.slice_mm, growth), scan.name) for scan in scans]
    known = [each for each in scores if np.isfinite(each[0])]
    return max(known, default=(float("nan"), scans[0].name))
