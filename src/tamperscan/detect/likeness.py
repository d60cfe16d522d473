"""Comparing a scan with authentic scans that were acquired like it.

Two ways, both conformal. Where enough patients were acquired like the scan, it is compared with them alone (Mondrian
conformal prediction; Vovk, Gammerman and Shafer 2005, section 4.5). Else, where the calibration's scores were seen to
depend on the acquisition, a ridge regression on it is taken off the scores. The regression is fitted on the patients
and the scan together, as full conformal prediction does (section 2.3 there): the scan has the same say in it as each
patient, so that the p-values stay valid however badly the regression fits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import Acquisition

# Fewer patients than this can't support an alarm rate of 0.05.
LEAST_PATIENTS = 19
# Noise is called sharp-grained below the first, strong above the second; slices thick from the third on.
_SHARP_GRAIN = 0.35
_STRONG_HU = 20.0
_THICK_MM = 2.5
# Strength of the ridge, in patients: as if so many part of all patients had told that there is no effect.
_RIDGE = 0.3
# The regression is used only if it predicts scores of patients left out at least so much better than their mean.
_LEAST_GAIN = 0.15

Array = NDArray[np.float64]


def kernel_class(acquisition: Acquisition) -> str:
    """Name the measured kernel: "sharp", "soft" or, where its noise could not be measured, "unknown"."""
    if math.isnan(acquisition.grain):
        return "unknown"
    return "sharp" if acquisition.grain < _SHARP_GRAIN else "soft"


def alike(acquisition: Acquisition, others: Sequence[Acquisition], least: int) -> NDArray[np.bool_] | None:
    """Choose the patients of the finest stratum of the scan that holds enough of them.

    Strata are made of the kernel's sharpness, the noise's strength and the slice's thickness; where too few patients
    share all of them, of the first two, or of the first alone.

    Parameters
    ----------
    acquisition, others
        Of the scan and of the patients.
    least
        Patients that a stratum must hold.

    Returns
    -------
    bool ``[patient]``, or None where no stratum holds enough.
    """
    own = _stratum(acquisition)
    if own is None:
        return None
    strata = [_stratum(each) for each in others]
    for kept in (3, 2, 1):
        chosen = np.array([each is not None and each[:kept] == own[:kept] for each in strata], dtype=bool)
        if least <= chosen.sum() < len(others):
            return chosen
    return None


def adjusted_scores(scores: Array, acquisitions: Sequence[Acquisition], acquisition: Acquisition) -> Array:
    """Return the score at which a scan of this acquisition would be as unusual as each patient is.

    With the hat matrix H of the ridge regression on the scan (index 0, score s) and the patients, all residuals are
    linear in s: r = (1 - H) (s, y). Patient i reaches the scan as long as r_i >= r_0, up to the score returned for it.

    Parameters
    ----------
    scores
        float64 ``[patient]``.
    acquisitions
        Of the patients.
    acquisition
        Of the scan.

    Returns
    -------
    float64 ``[patient]``; the scores themselves where the scan lies so far out that it would fit itself.
    """
    hat = _hat_matrix(_features([acquisition, *acquisitions]))
    if hat[0, 0] >= 0.5:  # below, the denominators are positive, as H^2 <= H
        return scores
    others = hat[1:, 1:] - hat[0, 1:]
    reached: Array = (scores - others @ scores) / (1.0 - hat[0, 0] + hat[1:, 0])
    return reached


def gain(scores: Array, acquisitions: Sequence[Acquisition]) -> float:
    """Return by which part the regression lowers the squared error of patients left out, against their mean."""
    count = len(scores)
    if count < 3:
        return 0.0
    hat = _hat_matrix(_features(acquisitions))
    left_out = (scores - hat @ scores) / (1.0 - np.diag(hat))
    plain = (scores - scores.mean()) / (1.0 - 1.0 / count)
    total = float((plain**2).sum())
    return 1.0 - float((left_out**2).sum()) / total if total > 0 else 0.0


def worth_adjusting(scores: Array, acquisitions: Sequence[Acquisition]) -> bool:
    """Tell whether the scores depend on the acquisition enough for the regression to help."""
    return len(scores) >= LEAST_PATIENTS and gain(scores, acquisitions) >= _LEAST_GAIN


def _stratum(acquisition: Acquisition) -> tuple[bool, bool, bool] | None:
    if math.isnan(acquisition.grain) or math.isnan(acquisition.noise):
        return None
    return acquisition.grain < _SHARP_GRAIN, acquisition.noise > _STRONG_HU, acquisition.slice_mm >= _THICK_MM


def _features(acquisitions: Sequence[Acquisition]) -> Array:
    """Kernel, dose and thickness of each scan, standardised; what is not known is taken as usual."""
    rows = [
        (each.grain, math.log(max(each.noise, 1e-3)) if each.noise == each.noise else math.nan, math.log(each.slice_mm))
        for each in acquisitions
    ]
    table = np.array(rows, dtype=np.float64)
    for column in table.T:
        known = np.isfinite(column)
        middle = float(column[known].mean()) if known.any() else 0.0
        spread = float(column[known].std()) if known.any() else 0.0
        column[:] = np.where(known, (column - middle) / (spread or 1.0), 0.0)
    return table


def _hat_matrix(features: Array) -> Array:
    """Of the ridge regression with a free constant."""
    count, terms = features.shape
    centred = features - features.mean(axis=0)
    ridge = _RIDGE * count * np.eye(terms)
    hat: Array = 1.0 / count + centred @ np.linalg.solve(centred.T @ centred + ridge, centred.T)
    return hat
