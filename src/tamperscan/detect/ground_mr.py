"""What an MR detector does not judge, and the sentences that say why.

An MR's contrast, coil and resolution are endless, and a detector has seen few of them. Whatever can be measured from
the pixels is compared with the range that the calibration's scans span; headers are not asked, as they can be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from tamperscan.detect.acquisition import measure_acquisition
from tamperscan.detect.regions_mr import body_mask, find_air
from tamperscan.diffusion.weights import Card
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import signal_window

SEEN: Final = "seen"
"""Where a card's calibration keeps the ranges that `seen_ranges` gives."""

_LEAST_SIDE_PX = 64
_SLICES = 9
_LARGEST_BYTE = 255
# How far outside the range a measure may lie, as a part of that range.
_MARGIN = 0.25


@dataclass(frozen=True)
class _Limit:
    """The least margin around a measure's range, and what to say below and above it."""

    margin: float
    low: str
    high: str


_NOISE_LOW = "The noise is weaker than in any MR it was calibrated on: it may have been removed."
_NOISE_HIGH = "The noise is stronger than in any MR it was calibrated on."
_SMOOTH = "The image is smoother than any MR it was calibrated on: it may have been filtered, enlarged or resampled."
_SHARP = "The image is sharper than any MR it was calibrated on."
_EMPTY = (
    "Fine detail is missing along rows or columns: the image was enlarged (as by zero-filling) more than any known."
)
_AIR = "What surrounds the body does not look like air in a magnitude image: it may be a map, or filtered."
_TAILS = "Flat places have far less noise than edges: the image may have been denoised."
_LIMITS: Final[Mapping[str, _Limit]] = {
    "noise": _Limit(0.15, _NOISE_LOW, _NOISE_HIGH),
    "air_noise": _Limit(0.3, "", _NOISE_HIGH),
    "air_ratio": _Limit(0.2, _AIR, _AIR),
    "grain": _Limit(0.1, _SHARP, _SMOOTH),
    "finest": _Limit(0.2, _SMOOTH, _SHARP),
    "upper_band": _Limit(0.3, _EMPTY, _SHARP),
    "tails": _Limit(0.05, "", _TAILS),
    "repetition": _Limit(
        0.5, "", "Something repeats along rows or columns, as after resampling or compression in blocks."
    ),
    "body_share": _Limit(
        0.1, "Little of the image is body.", "The body leaves less air around it than in any MR known."
    ),
    "pixel_mm": _Limit(0.05, "The pixels are smaller than known.", "The pixels are larger than known."),
    "slice_mm": _Limit(0.3, "The slices are thinner than known.", "The slices lie further apart than known."),
}
# A single slice has no distance to the next, and one without a pattern no repetition; these must be there.
_UNMEASURED: Final[Mapping[str, str]] = {
    "noise": "No even tissue was found, so the noise can't be compared with that of any MR it was calibrated on.",
    "air_noise": "The air holds no noise: it was masked or filtered, and what else was done to the image is not known.",
}


def mr_reasons_to_abstain(scan: Scan, card: Card) -> tuple[str, ...]:
    """Say why an MR lies outside what a detector can judge; empty if it does not.

    Parameters
    ----------
    scan
        An MR.
    card
        Of the detector; one that was not calibrated tells no ranges, and only what every MR must be is asked for.
    """
    reasons = _not_a_magnitude_image(scan)
    if reasons:
        return reasons
    return _unlike_seen(mr_measures(scan), card.calibration.get(SEEN, {}))


def mr_measures(scan: Scan) -> dict[str, float]:
    """Measure what the ground is told by.

    Parameters
    ----------
    scan
        An MR; its voxels are finite and not all alike.

    Returns
    -------
    dict of str to float
        ``noise`` (log10, part of the bright end), ``grain``, ``finest``, ``tails`` and ``repetition`` as in
        `Acquisition`; ``air_noise`` (log10, part of the range), ``air_ratio`` (mean over deviation of the air's signal:
        1.9 for one coil, more for many), ``upper_band`` (log10 of the energy in the upper quarter of the frequencies
        over that in the second, the lower of rows and columns), ``body_share`` of the pixels, ``pixel_mm``,
        ``slice_mm``; NaN for what could not be measured.
    """
    acquired = measure_acquisition(scan)
    air = find_air(scan.voxels, signal_window(scan.voxels))
    some = scan.voxels[np.linspace(0, len(scan.voxels) - 1, min(len(scan.voxels), _SLICES)).astype(int)]
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    return {
        "noise": _log10(acquired.noise),
        "grain": acquired.grain,
        "finest": acquired.finest,
        "tails": acquired.tails,
        "repetition": acquired.repetition,
        "air_noise": _log10(air.sigma / air.top),
        "air_ratio": air.mean / air.deviation if air.deviation > 0 else math.nan,
        "upper_band": min(_upper_band(some, axis) for axis in (1, 2)),
        "body_share": float(np.mean([body_mask(image, air, pixel_mm).mean() for image in some])),
        "pixel_mm": float(np.mean(pixel_mm)),
        "slice_mm": float(scan.spacing_mm[0]) if len(scan.voxels) > 1 else math.nan,
    }


def seen_ranges(measured: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Return the (lowest, highest) of each measure over the scans of a calibration, for its card."""
    scans = list(measured)
    known = {name: [one[name] for one in scans if math.isfinite(one[name])] for name in _LIMITS}
    return {name: [round(min(values), 5), round(max(values), 5)] for name, values in known.items() if values}


def _not_a_magnitude_image(scan: Scan) -> tuple[str, ...]:
    """Say what keeps a scan from being an MR as it comes from a scanner, whatever was seen before."""
    if not all(np.isfinite(image).all() for image in scan.voxels):
        return ("Some voxels hold no finite value (NaN or infinity), so what lies around them can't be measured.",)
    lowest, highest = float(scan.voxels.min()), float(scan.voxels.max())
    if lowest == highest:
        return (f"All voxels hold the same value ({lowest:g}): there is nothing to measure.",)
    reasons = []
    if scan.lossy:
        reasons.append("The pixels went through lossy compression, which rewrites the noise that is measured.")
    if min(scan.shape[1:]) < _LEAST_SIDE_PX:
        reasons.append(f"The slices are {scan.shape[1]} x {scan.shape[2]} pixels; at least 64 x 64 are needed.")
    if lowest < 0.0:
        reasons.append(
            "Some values lie below zero: this is no magnitude image but a map, a phase or a difference, whose noise"
            " follows other laws."
        )
    if highest == _LARGEST_BYTE and bool(np.array_equal(scan.voxels[0], np.rint(scan.voxels[0]))):
        reasons.append("The values are those of an 8-bit picture (0 to 255), not the signal of a scanner.")
    if max(scan.spacing_mm[1:]) > 1.1 * min(scan.spacing_mm[1:]):
        reasons.append("The pixels are not square: the slices are not as they come from a scanner.")
    return tuple(reasons)


def _unlike_seen(measures: Mapping[str, float], seen: Mapping[str, Any]) -> tuple[str, ...]:
    reasons = []
    for name, limit in _LIMITS.items():
        value = measures[name]
        if name not in seen:
            continue
        if math.isnan(value):
            reasons += [_UNMEASURED[name]] if name in _UNMEASURED else []
            continue
        low, high = (float(end) for end in seen[name])
        margin = max(limit.margin, _MARGIN * (high - low))
        sentence = limit.low if value < low - margin else limit.high if value > high + margin else ""
        if sentence:
            reasons.append(f"{sentence} ({name} {value:.3g}; {low:.3g} to {high:.3g} are known)")
    return tuple(reasons)


def _upper_band(some: NDArray[np.float32], axis: int) -> float:
    """Compare the energy at high frequencies along an axis with that in the middle: zero-filling leaves them empty."""
    lines = np.moveaxis(some, axis, -1)
    power = np.abs(fft.rfft(lines * np.hanning(lines.shape[-1]).astype(np.float32), axis=-1)) ** 2
    spectrum = power.mean(axis=(0, 1), dtype=np.float64)
    count = len(spectrum)
    upper, middle = spectrum[count * 3 // 4 :].mean(), spectrum[count // 4 : count // 2].mean()
    return math.log10(max(float(upper), 1e-12) / max(float(middle), 1e-12))


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan
