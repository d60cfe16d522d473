"""The screening detector: a whole scan in, a verdict with its places out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.detect.calibration import Calibration
from tamperscan.detect.findings import Peak, find_peaks
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.regions import TISSUES
from tamperscan.detect.results import Finding, Screening, SliceResult, Verdict
from tamperscan.detect.statistics import grid_step
from tamperscan.detect.typicality import DOWN_WEIGHT, Evidence, Typicality, evidence
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Card, Weights
from tamperscan.errors import WeightsError
from tamperscan.scan.volume import Scan

TYPICALITY_FILE = "typicality.json"
CALIBRATION_FILE = "calibration.json"
DEFAULT_ALARM_RATE = 0.05
# Places that more than half of all authentic scans reach are not worth a reader's time.
_LARGEST_FINDING_P = 0.5
# The paper's protocol is told the place; around it the suspicion is averaged over this radius.
_PATCH_MM = 8.0
# Rows and columns must hold a window and its surroundings, and pixels must be of a size that noise was learned at.
_LEAST_SIDE_PX = 64
_PIXEL_MM = (0.3, 1.5)
_THICKEST_MM = 12.0
# The words for a tissue in a sentence on evidence.
_TISSUE_WORDS = {"parenchyma": "lung tissue", "between": "vessel and border", "soft": "soft tissue"}

Progress = Callable[[int, int], None]


class Detector:
    """Screens CT scans of the chest with a low-noise predictor and what authentic scans look like.

    Parameters
    ----------
    weights
        A checked folder of weights, with the files that ``tamperscan calibrate`` adds.
    threads
        CPU threads; None for all that this process may use.

    Raises
    ------
    WeightsError
        If the weights are not calibrated or can't be run.

    Examples
    --------
    ::

        detector = tamperscan.load_detector("ct")
        screening = detector.screen(tamperscan.read_scan("study/"))
        print(screening.verdict, screening.p_value)
    """

    def __init__(self, weights: Weights, *, threads: int | None = None) -> None:
        self.weights = weights
        self._typicality, self._calibration = _read_calibration(weights)
        self._meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card)

    @property
    def name(self) -> str:
        """Name of the detector."""
        return self.weights.card.name

    @property
    def card(self) -> Card:
        """What it was trained and calibrated on."""
        return self.weights.card

    @property
    def calibration(self) -> Calibration:
        """The authentic scores that p-values are counted in."""
        return self._calibration

    def screen(self, scan: Scan, *, progress: Progress | None = None, alarm_rate: float | None = None) -> Screening:
        """Screen a whole scan; no place is given.

        Parameters
        ----------
        scan
            Any scan; one that the detector was not calibrated for is abstained.
        progress
            Called with (slices done, slices in all).
        alarm_rate
            The share of authentic scans that may be called suspicious; 0.05 if None.
        """
        begun = time.monotonic()
        alarm_rate = DEFAULT_ALARM_RATE if alarm_rate is None else alarm_rate
        reasons = reasons_to_abstain(scan, self.card)
        if reasons:
            return self._abstain(scan, reasons, alarm_rate, begun)
        found = _ScanEvidence(scan)
        for index, image in enumerate(scan.voxels):
            found.add(index, self._evidence(image, found))
            if progress:
                progress(index + 1, scan.shape[0])
        if not found.measured:
            reason = "No lung was found in any slice: this detector is calibrated for the lungs of chest CT."
            return self._abstain(scan, (reason,), alarm_rate, begun)
        return self._conclude(scan, found, alarm_rate, begun)

    def score_patch(self, scan: Scan, slice: int, row: int, column: int) -> float:
        """Score one given place, as in the paper's protocol.

        Parameters
        ----------
        scan
            The scan.
        slice, row, column
            Voxel index of the place.

        Returns
        -------
        float
            Mean suspicion within 8 mm of the place in its slice; NaN where nothing could be measured.

        Raises
        ------
        IndexError
            If the place lies outside the scan.
        """
        check_inside(scan, slice, row, column)
        found = _ScanEvidence(scan)
        result = self._evidence(scan.voxels[slice], found)
        return math.nan if result is None else mean_around(result.suspicion, found.step, scan, row, column)

    def _evidence(self, image: NDArray[np.float32], found: _ScanEvidence) -> Evidence | None:
        measured = self._meter.measure(image, found.pixel_mm)
        if measured is None:
            return None
        found.lung = measured.lung
        return evidence(measured.statistics, self._typicality, found.pixel_mm)

    def _abstain(self, scan: Scan, reasons: tuple[str, ...], alarm_rate: float, begun: float) -> Screening:
        return Screening(
            verdict="abstained",
            reasons=reasons,
            score=math.nan,
            p_value=None,
            findings=(),
            slices=tuple(SliceResult(index, math.nan, None, None) for index in range(scan.shape[0])),
            suspicion=np.zeros(scan.shape, dtype=np.float32),
            regions=np.zeros(scan.shape, dtype=bool),
            settings=self._settings(),
            **self._circumstances(scan, alarm_rate, begun),
        )

    def _conclude(self, scan: Scan, found: _ScanEvidence, alarm_rate: float, begun: float) -> Screening:
        scores = found.slice_scores()
        score = self._calibration.scan_score(scores, scan.spacing_mm[0])
        p_value = self._calibration.scan_p_value(score)
        largest = float(np.nanmax(scores))
        verdict: Verdict = "suspicious" if p_value <= alarm_rate else "clear"
        # What a single slice must reach for the whole scan to be called suspicious.
        threshold = self._calibration.score_at(alarm_rate) + largest - score
        return Screening(
            verdict=verdict,
            reasons=self._reasons(verdict, p_value, alarm_rate),
            score=score,
            p_value=p_value,
            findings=self._findings(found, score, largest),
            slices=tuple(self._slice_result(found, index) for index in range(scan.shape[0])),
            suspicion=found.suspicion,
            regions=found.regions,
            settings={**self._settings(), "slice_threshold": threshold if math.isfinite(threshold) else None},
            **self._circumstances(scan, alarm_rate, begun),
        )

    def _circumstances(self, scan: Scan, alarm_rate: float, begun: float) -> dict[str, Any]:
        """Say what every screening says, whatever came out."""
        return {
            "scan": scan,
            "alarm_rate": alarm_rate,
            "detector_name": self.name,
            "weights_sha256": self.weights.sha256,
            "seconds": time.monotonic() - begun,
        }

    def _reasons(self, verdict: Verdict, p_value: float, alarm_rate: float) -> tuple[str, ...]:
        patients = len(self._calibration.scan_scores)
        counted = f"{p_value * 100:.3g} of 100 authentic scans score as high ({patients} authentic patients compared)"
        if verdict == "suspicious":
            return (f"About {counted}, at most {alarm_rate * 100:.3g} are allowed.",)
        reasons = [f"About {counted}; the alarm is at {alarm_rate * 100:.3g}."]
        if alarm_rate < self._calibration.smallest_p:
            reasons.append(
                f"{patients} authentic patients can't support an alarm rate of {alarm_rate:g}: nothing can be called"
                f" suspicious below {self._calibration.smallest_p:.2g}. Calibrate on more patients."
            )
        return tuple(reasons)

    def _slice_result(self, found: _ScanEvidence, index: int) -> SliceResult:
        grid = found.grid[index]
        if not np.isfinite(grid).any():
            return SliceResult(index, math.nan, None, None)
        row, column = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
        score = float(grid[row, column])
        peak = (found.pixel(int(row)), found.pixel(int(column)))
        return SliceResult(index, score, self._calibration.slice_p_value(score), peak)

    def _findings(self, found: _ScanEvidence, scan_score: float, largest: float) -> tuple[Finding, ...]:
        """Describe the peaks that at most half of all authentic scans reach."""
        correction = largest - scan_score
        threshold = self._calibration.score_at(_LARGEST_FINDING_P) + correction
        peaks = find_peaks(found.grid, found.grid_spacing_mm, float(np.nextafter(threshold, -math.inf)))
        return tuple(found.describe(peak, self._calibration.scan_p_value(peak.score - correction)) for peak in peaks)

    def _settings(self) -> dict[str, object]:
        return {
            "levels_hu": list(self.card.levels_hu),
            "window_hu": list(self.card.window or ()),
            "calibration_patients": len(self._calibration.scan_scores),
            "calibration_scores": self._calibration.scan_scores.tolist(),
        }


class _ScanEvidence:
    """Collects the evidence of a scan's slices."""

    def __init__(self, scan: Scan) -> None:
        slices, rows, columns = scan.shape
        self.pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
        self.step = grid_step(self.pixel_mm)
        self.grid_spacing_mm = (
            scan.spacing_mm[0],
            self.pixel_mm[0] * self.step,
            self.pixel_mm[1] * self.step,
        )
        shape = (slices, rows // self.step, columns // self.step)
        self.grid = np.full(shape, np.nan, dtype=np.float32)
        self.z = np.full((slices, len(TISSUES), *shape[1:]), np.nan, dtype=np.float16)
        self.centred = np.full_like(self.z, np.nan)
        self.suspicion = np.zeros(scan.shape, dtype=np.float32)
        self.regions = np.zeros(scan.shape, dtype=bool)
        self.lung: NDArray[np.bool_] | None = None
        self.measured = 0

    def add(self, index: int, result: Evidence | None) -> None:
        """Take in a slice's evidence; None where nothing could be measured."""
        if result is None or self.lung is None or not np.isfinite(result.suspicion).any():
            return
        self.measured += 1
        self.grid[index], self.z[index], self.centred[index] = result.suspicion, result.z, result.centred
        self.regions[index] = self.lung
        self.suspicion[index] = _enlarge(result.suspicion, self.step, self.lung)

    def slice_scores(self) -> NDArray[np.float64]:
        """Return the highest suspicion of each slice, NaN where nothing was measured."""
        known = np.where(np.isfinite(self.grid), self.grid, -np.inf).max(axis=(1, 2)).astype(np.float64)
        return np.where(np.isfinite(known), known, np.nan)

    def pixel(self, grid_index: int) -> int:
        """Return the pixel in the middle of a grid cell."""
        return grid_index * self.step + self.step // 2

    def describe(self, peak: Peak, p_value: float) -> Finding:
        """Put a peak into words."""
        index, row, column = peak.centre
        size = [
            (high - low + 1) * step for low, high, step in zip(peak.low, peak.high, self.grid_spacing_mm, strict=True)
        ]
        sign, sentence = self._evidence_words(index, row, column)
        return Finding(
            centre=(index, self.pixel(row), self.pixel(column)),
            size_mm=(float(size[0]), float(size[1]), float(size[2])),
            score=peak.score,
            p_value=p_value,
            slice_range=(peak.low[0], peak.high[0]),
            sign=sign,
            evidence=sentence,
        )

    def _evidence_words(self, index: int, row: int, column: int) -> tuple[str, str]:
        z = np.nan_to_num(self.z[index, :, row, column].astype(np.float64))
        # The side that made the suspicion, and the tissue that says most on that side.
        up, down = np.linalg.norm(np.maximum(z, 0.0)), DOWN_WEIGHT * np.linalg.norm(np.maximum(-z, 0.0))
        tissue = int(np.argmax(z if up >= down else -z))
        ratio = math.exp(0.5 * float(self.centred[index, tissue, row, column]))
        sign = "too noisy" if z[tissue] > 0 else "too smooth"
        word = _TISSUE_WORDS[TISSUES[tissue]]
        return sign, (
            f"The predicted noise of the {word} here is {ratio:.2g} times that of the slice's other {word}"
            f" ({z[tissue]:+.1f} standard deviations from authentic scans)."
        )


def reasons_to_abstain(scan: Scan, card: Card) -> tuple[str, ...]:
    """Say why a scan lies outside what a detector was calibrated for; empty if it does not."""
    if scan.modality != card.modality:
        return (f"The scan is {scan.modality}; the detector {card.name} is calibrated for {card.modality} only.",)
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
    return tuple(reasons)


def check_inside(scan: Scan, slice: int, row: int, column: int) -> None:
    """Raise IndexError if a place lies outside a scan; negative indices count as outside."""
    place = (slice, row, column)
    if not all(0 <= index < size for index, size in zip(place, scan.shape, strict=True)):
        raise IndexError(f"place {place} lies outside the scan of {scan.shape} (slices, rows, columns)")


def mean_around(grid: NDArray[np.float32], step: int, scan: Scan, row: int, column: int) -> float:
    """Average a coarse map over the disc around a pixel; NaN where it holds nothing there."""
    rows = (np.arange(grid.shape[0]) + 0.5) * step - row
    columns = (np.arange(grid.shape[1]) + 0.5) * step - column
    near = np.hypot(rows[:, None] * scan.spacing_mm[1], columns[None, :] * scan.spacing_mm[2]) <= _PATCH_MM
    values = grid[near & np.isfinite(grid)]
    return float(values.mean()) if values.size else math.nan


def _enlarge(grid: NDArray[np.float32], step: int, lung: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Bring a coarse map to the slice's pixels, linear in between, 0 outside the lung."""
    known = np.isfinite(grid)
    # Cells without a value take that of the nearest one, or the lung's border would fade to zero.
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    filled = grid[tuple(nearest)]
    height, width = grid.shape[0] * step, grid.shape[1] * step
    large = np.zeros(lung.shape, dtype=np.float32)
    rows = np.clip((np.arange(height) + 0.5) / step - 0.5, 0, grid.shape[0] - 1)
    columns = np.clip((np.arange(width) + 0.5) / step - 0.5, 0, grid.shape[1] - 1)
    large[:height, :width] = _bilinear(filled, rows, columns)
    return np.where(lung, large, np.float32(0.0))


def _bilinear(
    grid: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Interpolate on a product of row and column positions."""
    by_row = _between(grid, rows)
    return _between(by_row.T, columns).T


def _between(values: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    low = np.floor(positions).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    share = (positions - low).astype(np.float32)[:, None]
    result: NDArray[np.float32] = values[low] * (1 - share) + values[high] * share
    return result


def _read_calibration(weights: Weights) -> tuple[Typicality, Calibration]:
    for name in (TYPICALITY_FILE, CALIBRATION_FILE):
        if name not in weights.card.files:
            raise WeightsError(
                f"{weights.folder}: is not calibrated ({name} is missing). Run 'tamperscan calibrate' on authentic"
                " scans that were not trained on."
            )
    try:
        typicality = Typicality.from_dict(_load(weights.folder / TYPICALITY_FILE))
        calibration = Calibration.from_dict(_load(weights.folder / CALIBRATION_FILE))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{weights.folder}: the calibration can't be used ({error}). Calibrate anew.") from error
    return typicality, calibration


def _load(path: Path) -> dict[str, object]:
    loaded = json.loads(path.read_text())
    if not isinstance(loaded, dict):
        raise TypeError(f"{path.name} holds no object")
    return loaded
