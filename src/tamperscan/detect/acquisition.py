"""How a scan was acquired, measured from its pixels: headers can be wrong, missing or copied from another scan.

Noise is what a Gaussian of two pixels leaves of a slice, in places where the smoothed image is flat: soft tissue around
the lungs, and lung tissue. Its strength depends on dose and thickness, its grain on the reconstruction kernel and on
whatever was done to the image since. Resampling and block compression leave something that repeats along the rows and
columns (Gallagher, "Detection of Linear and Cubic Interpolation in JPEG Compressed Images", CRV 2005; Mahdian and
Saic, IEEE TIFS 3(3), 2008).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.regions import lung_mask
from tamperscan.scan.volume import Scan

# So many slices say enough of a scan; of these many the ones with lung are looked for.
_SLICES = 9
_CANDIDATES = 25
_LEAST_LUNG_CM2 = 15.0
_LEAST_PIXELS = 400
_SMOOTHING_PX = 2.0
_MAD_TO_SIGMA = 1.4826
# What counts as flat: (lowest, highest) smoothed value and the steepest slope a pixel, in HU.
_SOFT_HU = (-150.0, 200.0, 8.0)
_LUNG_HU = (-960.0, -700.0, 15.0)
# In MR the same, as parts of the bright end of the slice.
_MR_BRIGHT = (0.2, 2.0, 0.02)
# Fourth difference: passes what is near the Nyquist frequency, sum of squares 70/256.
_FINEST = np.array([1.0, -4.0, 6.0, -4.0, 1.0], dtype=np.float32) / np.float32(16.0)
_FINEST_OF_WHITE = 70.0 / 256.0
# Longer periods than this are anatomy.
_LONGEST_PERIOD_PX = 10.0
_STEP_SAMPLE = 20_000

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Acquisition:
    """What the pixels say of a scan's acquisition; NaN for what could not be measured.

    Attributes
    ----------
    noise
        Standard deviation of the noise in flat soft tissue: HU in CT, part of the slice's bright end in MR. Robust
        (from the median absolute value), so that edges don't count.
    lung_noise
        The same in lung tissue, with its fine vessels; NaN in MR.
    grain
        Correlation of that noise between neighbouring pixels: about 0 for sharp kernels, 0.8 for soft ones.
    finest
        log10 of the noise's energy near the Nyquist frequency over that of white noise: 0 for sharp kernels, -1.9 for
        soft ones, less where something smoothed the image.
    tails
        log10 of the plain over the robust standard deviation: high where noise was removed and edges were kept.
    repetition
        log10 of the strongest periodic part of the rows' and columns' roughness over its surroundings.
    period_px
        Its period in pixels.
    step
        Distance between the values that occur: 1 HU in most CT.
    slice_correlation
        Correlation of the noise between neighbouring slices: overlap, or thickness over distance. NaN for one slice.
    pixel_mm, slice_mm
        Distance between pixels, and between slices (as the reader gives it).
    """

    noise: float
    lung_noise: float
    grain: float
    finest: float
    tails: float
    repetition: float
    period_px: float
    step: float
    slice_correlation: float
    pixel_mm: float
    slice_mm: float

    @property
    def known(self) -> bool:
        """Whether the noise could be measured anywhere."""
        return math.isfinite(self.noise) or math.isfinite(self.lung_noise)

    def as_dict(self) -> dict[str, float | None]:
        """Return plain values, for JSON; None for what is not known."""
        return {name: round(value, 5) if math.isfinite(value) else None for name, value in asdict(self).items()}

    def exact(self) -> dict[str, float | None]:
        """Return plain values as `as_dict` does, but not rounded."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Acquisition:
        """Read what `as_dict` gave."""
        values = {field.name: plain[field.name] for field in fields(cls)}
        return cls(**{name: math.nan if value is None else float(value) for name, value in values.items()})


def measure_acquisition(scan: Scan) -> Acquisition:
    """Measure up to nine slices of a scan, those with lung in CT, and take the median of each measure.

    Parameters
    ----------
    scan
        CT in HU, or MR. Voxels must be finite.
    """
    chosen = _slices_to_measure(scan)
    measured = [_measure_slice(scan.voxels[index], scan.modality) for index in chosen]
    neighbours = [
        _correlation(scan.voxels[index], scan.voxels[index + 1], scan.modality)
        for index in chosen
        if index + 1 < scan.shape[0]
    ]
    middle = {name: _median([each[name] for each in measured]) for name in _PER_SLICE}
    return Acquisition(
        **middle,
        slice_correlation=_median(neighbours),
        pixel_mm=float(np.mean(scan.spacing_mm[1:])),
        slice_mm=float(scan.spacing_mm[0]),
    )


_PER_SLICE = ("noise", "lung_noise", "grain", "finest", "tails", "repetition", "period_px", "step")


def _slices_to_measure(scan: Scan) -> list[int]:
    candidates = _evenly(range(scan.shape[0]), _CANDIDATES)
    if scan.modality == "CT":
        candidates = [index for index in candidates if _lung_cm2(scan, index) >= _LEAST_LUNG_CM2]
    return _evenly(candidates, _SLICES)


def _lung_cm2(scan: Scan, index: int) -> float:
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    return float(lung_mask(scan.voxels[index], pixel_mm).sum()) * pixel_mm[0] * pixel_mm[1] / 100.0


def _evenly(indices: range | list[int], count: int) -> list[int]:
    """Choose at most so many, evenly spread."""
    if len(indices) <= count:
        return list(indices)
    return [indices[round((place + 0.5) * len(indices) / count - 0.5)] for place in range(count)]


def _measure_slice(image: Image, modality: str) -> dict[str, float]:
    residual, soft, lung, unit = _noise(image, modality)
    values = dict.fromkeys(_PER_SLICE, math.nan)
    values["repetition"], values["period_px"] = _repetition(image)
    if lung.sum() >= _LEAST_PIXELS:
        values["lung_noise"] = _robust(residual[lung])
    # Where the field of view leaves no soft tissue, the lung has to do.
    flat = soft if soft.sum() >= _LEAST_PIXELS else lung
    if flat.sum() < _LEAST_PIXELS:
        return values
    variance = float(np.mean(residual[flat] ** 2, dtype=np.float64))
    robust = _robust(residual[flat])
    values["step"] = _step(image[flat])
    if robust <= 0:  # more than half of the pixels don't vary at all
        return {**values, "noise": 0.0}
    values["noise"] = robust / unit
    values["tails"] = math.log10(math.sqrt(variance) / robust)
    values["grain"] = float(np.mean([_neighbours(residual, flat, axis) for axis in (0, 1)]))
    finest = float(np.mean([_finest(residual, flat, axis) for axis in (0, 1)]))
    values["finest"] = math.log10(max(finest / (variance * _FINEST_OF_WHITE), 1e-9))
    return values


def _noise(image: Image, modality: str) -> tuple[Image, Mask, Mask, float]:
    """Return (what smoothing leaves, flat soft tissue, flat lung tissue, unit of the noise)."""
    smooth = ndimage.gaussian_filter(image, _SMOOTHING_PX, truncate=3.0)
    down, right = np.gradient(smooth)
    slope = np.hypot(down, right)
    if modality == "CT":
        return image - smooth, _flat(smooth, slope, *_SOFT_HU), _flat(smooth, slope, *_LUNG_HU), 1.0
    bright = float(np.percentile(smooth, 99.0))
    low, high, steepest = (part * bright for part in _MR_BRIGHT)
    soft = _flat(smooth, slope, low, high, steepest)
    return image - smooth, soft, np.zeros_like(soft), bright or 1.0


def _flat(smooth: Image, slope: Image, low: float, high: float, steepest: float) -> Mask:
    flat: Mask = (smooth > low) & (smooth < high) & (slope < steepest)
    return flat


def _robust(values: Image) -> float:
    return float(_MAD_TO_SIGMA * np.median(np.abs(values)))


def _neighbours(residual: Image, flat: Mask, axis: int) -> float:
    here, there = residual.swapaxes(0, axis)[:-1], residual.swapaxes(0, axis)[1:]
    both = flat.swapaxes(0, axis)[:-1] & flat.swapaxes(0, axis)[1:]
    return _correlated(here[both], there[both])


def _correlated(first: Image, second: Image) -> float:
    """Correlation of values whose mean is zero."""
    power = math.sqrt(float(np.mean(first**2)) * float(np.mean(second**2))) if first.size else 0.0
    return float(np.mean(first * second)) / power if power > 0 else math.nan


def _finest(residual: Image, flat: Mask, axis: int) -> float:
    return float(np.mean(ndimage.correlate1d(residual, _FINEST, axis=axis)[flat] ** 2))


def _step(values: Image) -> float:
    occurring = np.unique(values[:: max(1, values.size // _STEP_SAMPLE)])
    return float(np.median(np.diff(occurring))) if occurring.size > 2 else math.nan


def _repetition(image: Image) -> tuple[float, float]:
    """Return the strength and period of what repeats along the rows or the columns."""
    strongest = (math.nan, math.nan)
    for axis in (0, 1):
        rough = np.log1p(np.abs(np.diff(image, n=2, axis=axis))).mean(axis=1 - axis)
        found = _strongest_period(rough.astype(np.float64))
        if not found[0] <= strongest[0]:
            strongest = found
    return strongest


def _strongest_period(rough: NDArray[np.float64]) -> tuple[float, float]:
    varying = rough - ndimage.gaussian_filter1d(rough, 4.0)
    power = np.abs(np.fft.rfft(varying * np.hanning(len(varying)))) ** 2
    frequency = np.fft.rfftfreq(len(varying))
    around = ndimage.median_filter(power, 31, mode="reflect")
    ratio = np.where(frequency > 1.0 / _LONGEST_PERIOD_PX, power / np.maximum(around, 1e-12), 0.0)
    best = int(np.argmax(ratio))
    if ratio[best] <= 0:
        return math.nan, math.nan
    return math.log10(float(ratio[best])), 1.0 / float(frequency[best])


def _correlation(image: Image, following: Image, modality: str) -> float:
    here, soft, lung, _ = _noise(image, modality)
    there, other_soft, other_lung, _ = _noise(following, modality)
    both = (soft & other_soft) | (lung & other_lung)
    return _correlated(here[both], there[both]) if both.sum() >= _LEAST_PIXELS else math.nan


def _median(values: list[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
