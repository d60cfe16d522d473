"""What a detector does not judge, and the sentences that say why.

Some of it is told by the scan's geometry and its file; the rest is measured from the pixels and compared with the scans
that the detector was calibrated on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tamperscan.detect.acquisition import Acquisition
from tamperscan.detect.anatomy import anatomy_of
from tamperscan.detect.ground_mr import mr_reasons_to_abstain
from tamperscan.diffusion.weights import Card
from tamperscan.scan.volume import Scan

# Rows and columns must hold a window and its surroundings, and pixels must be of a size that noise was learned at.
_LEAST_SIDE_PX = 64
_PIXEL_MM = (0.3, 1.5)
_THICKEST_MM = 12.0
# Acquisitions of fewer scans span no range that means anything.
_LEAST_SCANS = 5
# How far outside the calibration's range a scan may lie, as a part of that range.
_MARGIN = 0.25
# Overlapping slices of the thinnest collimation reach 0.8; only interpolated or repeated ones share all of their noise.
_SAME_NOISE = 0.97
# Lung, air and fat lie below this in every chest CT.
_THIN_HU = -300.0


@dataclass(frozen=True)
class _Limit:
    """A measure, the least margin around its range, whether it is compared as a logarithm, and what to say outside."""

    name: str
    least_margin: float
    low: str
    high: str
    logarithm: bool = False
    unit: str = ""


_NOISE_LOW = (
    "The noise is lower ({value:.2g}{unit}; calibrated for {first:.2g} to {last:.2g}): it may have been removed."
)
_NOISE_HIGH = (
    "The noise is stronger ({value:.2g}{unit}) than in the scans it was calibrated on ({first:.2g} to {last:.2g})."
)
_SMOOTH = (
    "The noise is smoother than any kernel of the calibration makes it: the image may have been smoothed or resampled."
)
_SHARP = (
    "The noise is finer than any kernel of the calibration makes it ({name} {value:.2g}; up to {last:.2g} is known)."
)
_TAILS = (
    "Flat places have far less noise than edges ({value:.2g}; calibrated for up to {last:.2g}): the image may have been"
    " denoised."
)
_REPEATS = (
    "Something repeats every {period:.2g} pixels along rows or columns, as after resampling or compression in blocks:"
    " that rewrites the noise that is measured."
)
_COARSE = "The values lie {value:.2g} apart; the detector is calibrated for steps of up to {last:.2g}."
_LIMITS = (
    _Limit("noise", 0.2, _NOISE_LOW, _NOISE_HIGH, logarithm=True),
    _Limit("lung_noise", 0.2, _NOISE_LOW, _NOISE_HIGH, logarithm=True),
    _Limit("grain", 0.15, _SHARP, _SMOOTH),
    _Limit("finest", 0.4, _SMOOTH, _SHARP),
    _Limit("tails", 0.1, "", _TAILS),
    _Limit("repetition", 0.3, "", _REPEATS),
    _Limit("step", 0.4, "", _COARSE, logarithm=True),
)


def reasons_to_abstain(scan: Scan, card: Card) -> tuple[str, ...]:
    """Say why a scan lies outside what a detector can judge by its geometry and its file; empty if it does not."""
    if scan.modality != card.modality:
        return (f"The scan is {scan.modality}; the detector {card.name} is calibrated for {card.modality} only.",)
    return mr_reasons_to_abstain(scan, card) if scan.modality == "MR" else _ct_reasons(scan)


def _ct_reasons(scan: Scan) -> tuple[str, ...]:
    reasons = []
    if scan.lossy:
        reasons.append("The pixels went through lossy compression, which rewrites the noise that is measured.")
    if not scan.axial:
        reasons.append("The slices are not axial; the detector is calibrated for axial slices.")
    if min(scan.shape[1:]) < _LEAST_SIDE_PX:
        reasons.append(f"The slices are {scan.shape[1]} x {scan.shape[2]} pixels; at least 64 x 64 are needed.")
    coarsest, finest = max(scan.spacing_mm[1:]), min(scan.spacing_mm[1:])
    if finest < _PIXEL_MM[0] or coarsest > _PIXEL_MM[1]:
        reasons.append(
            f"The pixels are {finest:.3g} to {coarsest:.3g} mm wide; the detector is calibrated for 0.3 to 1.5 mm."
        )
    if coarsest > 1.1 * finest:
        reasons.append("The pixels are not square: the slices are no axial CT slices as they come from a scanner.")
    if scan.spacing_mm[0] > _THICKEST_MM and scan.shape[0] > 1:
        reasons.append(f"The slices lie {scan.spacing_mm[0]:.3g} mm apart; the detector is calibrated for up to 12 mm.")
    if not all(np.isfinite(image).all() for image in scan.voxels):
        reasons.append(
            "Some voxels hold no finite value (NaN or infinity), so what lies around them can't be measured."
        )
    return tuple(reasons)


def off_ground(acquisition: Acquisition, reference: Sequence[Acquisition]) -> tuple[str, ...]:
    """Say where a scan's acquisition lies clearly outside what a detector was calibrated on.

    A measure may lie a quarter of the calibration's range outside it, or a little more where the range is narrow.

    Parameters
    ----------
    acquisition
        Of the scan.
    reference
        Of the authentic scans of the calibration; with fewer than five nothing is compared with them.

    Returns
    -------
    tuple of str
        One sentence a reason; empty if there is none.
    """
    reasons = []
    if acquisition.slice_correlation > _SAME_NOISE:
        reasons.append(
            "Neighbouring slices carry the same noise, as no two slices of a scanner do: they were repeated or"
            " interpolated."
        )
    if len(reference) >= _LEAST_SCANS:
        reasons += [sentence for limit in _LIMITS if (sentence := _outside(limit, acquisition, reference))]
    return tuple(dict.fromkeys(reasons))


def why_nothing_found(scan: Scan) -> tuple[str, ...]:
    """Say why nothing could be measured: first what is missing, then what there is instead."""
    reasons = [anatomy_of(scan.modality).nothing_found]
    lowest, highest = float(scan.voxels.min()), float(scan.voxels.max())
    if lowest == highest:
        reasons.append(f"All voxels hold the same value ({lowest:g}).")
    elif scan.modality == "CT" and highest < _THIN_HU:
        reasons.append(f"No voxel lies above {highest:.4g} HU: there is no body in it.")
    elif scan.modality == "CT" and lowest > _THIN_HU:
        reasons.append(f"No voxel lies below {lowest:.4g} HU: there is no air, or the values are no Hounsfield units.")
    return tuple(reasons)


def _outside(limit: _Limit, acquisition: Acquisition, reference: Sequence[Acquisition]) -> str:
    value = _scaled(limit, acquisition)
    known = [each for each in (_scaled(limit, one) for one in reference) if not math.isnan(each)]
    if math.isnan(value) or len(known) < _LEAST_SCANS:
        return ""
    first, last = min(known), max(known)
    margin = max(limit.least_margin, _MARGIN * (last - first))
    if first - margin <= value <= last + margin:
        return ""
    sentence = limit.low if value < first else limit.high
    facts = [10.0**each if limit.logarithm else each for each in (value, first, last)]
    unit = " HU" if limit.logarithm else ""
    return sentence.format(
        value=facts[0], first=facts[1], last=facts[2], name=limit.name, period=acquisition.period_px, unit=unit
    )


def _scaled(limit: _Limit, acquisition: Acquisition) -> float:
    value = float(getattr(acquisition, limit.name))
    if not limit.logarithm or math.isnan(value):
        return value
    return math.log10(max(value, 1e-3))
