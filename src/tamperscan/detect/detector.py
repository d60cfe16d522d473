"""The screening detector: a whole scan in, a verdict with its places out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.acquisition import measure_acquisition
from tamperscan.detect.ahead import map_ahead, slices_at_a_time
from tamperscan.detect.calibration import Calibration, calibration_file
from tamperscan.detect.findings import find_peaks
from tamperscan.detect.ground import off_ground, reasons_to_abstain, why_nothing_found
from tamperscan.detect.heads import HEADS, TYPICALITY_FILE, Head, HeadName, PlaceEvidence, heads_in, read_combination
from tamperscan.detect.measure import SliceMeasurement, SliceMeter
from tamperscan.detect.processing import processing_reasons
from tamperscan.detect.results import Finding, Screening, SliceResult, Verdict
from tamperscan.detect.scan_evidence import ScanEvidence
from tamperscan.detect.self_forged import SelfForgedNetwork
from tamperscan.detect.statistics import grid_step
from tamperscan.detect.typicality import Typicality
from tamperscan.diffusion.networks import Device, Precision
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.diffusion.weights import Card, Weights
from tamperscan.errors import WeightsError
from tamperscan.safe_json import parse_json
from tamperscan.scan.volume import Scan

DEFAULT_ALARM_RATE = 0.05
# Places that more than half of all authentic scans reach are not worth a reader's time.
_LARGEST_FINDING_P = 0.5
# The paper's protocol is told the place; around it the suspicion is averaged over this radius.
_PATCH_MM = 8.0

Progress = Callable[[int, int], None]


class Detector:
    """Screens scans of one modality with a low-noise predictor and what authentic scans look like.

    Parameters
    ----------
    weights
        A checked folder of weights, with the files that ``tamperscan calibrate`` adds.
    head
        ``"typicality"``, ``"self-forged"`` or ``"combined"``; None for the last of these that the weights hold.
    threads
        CPU threads; None for all that this process may use.
    device, precision
        As for `tamperscan.diffusion.networks.open_network`.

    Attributes
    ----------
    networks
        The noise predictor, and the self-forged head's network where the head needs it.

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

    def __init__(
        self,
        weights: Weights,
        *,
        head: str | None = None,
        threads: int | None = None,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.weights = weights
        threads = threads or usable_cores()
        self._head = _read_head(weights, choose_head(weights, head))
        self._calibration = read_calibration(weights, self._head.name)
        # Slices are worked on side by side, each by one thread.
        how: dict[str, Any] = {
            "threads": threads,
            "calls": threads,
            "device": device,
            "precision": precision,
        }
        predictor = NoisePredictor(weights, **how)
        network = None if self._head.name == "typicality" else SelfForgedNetwork(weights, **how)
        # Only a GPU wants batches; meanwhile a thread can prepare the next slice.
        self._workers = slices_at_a_time(threads, beside_gpu=predictor.network.wants_batches)
        self._meter = SliceMeter(predictor, weights.card, network)
        self.networks = tuple(each.network for each in (predictor, network) if each is not None)
        self._last: tuple[ref[Scan], int, PlaceEvidence | None] | None = None

    @property
    def runtime(self) -> str:
        """What runs its networks, for people; a GPU may refuse later what it was asked for first."""
        return self.networks[0].runtime

    @property
    def name(self) -> str:
        """Name of the detector."""
        return self.weights.card.name

    @property
    def head(self) -> HeadName:
        """Which head judges."""
        return self._head.name

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
        acquisition = measure_acquisition(scan)
        found, meter = ScanEvidence(scan), self._meter.of(scan)

        def judge(image: NDArray[np.float32]) -> tuple[PlaceEvidence, NDArray[np.bool_]] | None:
            measured = meter.measure(image, found.pixel_mm)
            if measured is None:
                return None
            return self.weigh(measured, found.pixel_mm), measured.lung

        for index, judged in enumerate(map_ahead(judge, scan.voxels, self._workers)):
            if judged is not None:
                found.add(index, *judged)
            if progress:
                progress(index + 1, scan.shape[0])
        if not found.measured:
            return self._abstain(scan, why_nothing_found(scan), alarm_rate, begun)
        reasons = (*processing_reasons(scan), *off_ground(acquisition, self._calibration.ground))
        if reasons:
            return self._leave_open(scan, found, reasons, alarm_rate, begun)
        return self._conclude(scan, found, self._calibration.for_scan(acquisition, alarm_rate), alarm_rate, begun)

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
        found = self._evidence(scan, slice)
        step = grid_step((scan.spacing_mm[1], scan.spacing_mm[2]))
        return math.nan if found is None else mean_around(found.suspicion, step, scan, row, column)

    def weigh(self, measured: SliceMeasurement, spacing_mm: tuple[float, float]) -> PlaceEvidence:
        """Turn what was measured in a slice into evidence, by the detector's head.

        Parameters
        ----------
        measured
            By a meter with the networks that the head needs.
        spacing_mm
            Distance between (rows, columns) in mm.
        """
        return self._head.evidence(measured.statistics, measured.odds, spacing_mm)

    def _evidence(self, scan: Scan, slice: int) -> PlaceEvidence | None:
        """Judge one slice, or remember it: several places of a slice are often asked for in a row."""
        if self._last is None or self._last[0]() is not scan or self._last[1] != slice:
            self._last = ref(scan), slice, self._judge(scan, slice)
        return self._last[2]

    def _judge(self, scan: Scan, slice: int) -> PlaceEvidence | None:
        pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
        measured = self._meter.of(scan).measure(scan.voxels[slice], pixel_mm)
        if measured is None:
            return None
        return self.weigh(measured, pixel_mm)

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
            settings=self._settings(self._calibration),
            **self._circumstances(scan, alarm_rate, begun),
        )

    def _leave_open(
        self, scan: Scan, found: ScanEvidence, reasons: tuple[str, ...], alarm_rate: float, begun: float
    ) -> Screening:
        """Give scores and the map without any verdict: what they would mean on such a scan is not known."""
        places = found.pooled()
        slices = (self._slice_result(found, index, grid) for index, grid in enumerate(places))
        return Screening(
            verdict="abstained",
            reasons=reasons,
            score=self._calibration.scan_score(slice_scores(places), scan.spacing_mm[0]),
            p_value=None,
            findings=(),
            slices=tuple(replace(each, p_value=None) for each in slices),
            suspicion=found.enlarged(places, self._workers),
            regions=found.regions,
            settings=self._settings(self._calibration),
            **self._circumstances(scan, alarm_rate, begun),
        )

    def _conclude(
        self, scan: Scan, found: ScanEvidence, calibration: Calibration, alarm_rate: float, begun: float
    ) -> Screening:
        places = found.pooled()
        scores = slice_scores(places)
        score = calibration.scan_score(scores, scan.spacing_mm[0])
        p_value = calibration.scan_p_value(score)
        largest = float(np.nanmax(scores))
        verdict: Verdict = "suspicious" if p_value <= alarm_rate else "clear"
        # What a single slice must reach for the whole scan to be called suspicious.
        threshold = calibration.score_at(alarm_rate) + largest - score
        return Screening(
            verdict=verdict,
            reasons=_reasons(calibration, verdict, p_value, alarm_rate),
            score=score,
            p_value=p_value,
            findings=_findings(found, places, calibration, largest - score),
            slices=tuple(self._slice_result(found, index, grid) for index, grid in enumerate(places)),
            suspicion=found.enlarged(places, self._workers),
            regions=found.regions,
            settings={
                **self._settings(calibration),
                "slice_threshold": threshold if math.isfinite(threshold) else None,
            },
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

    def _slice_result(self, found: ScanEvidence, index: int, grid: NDArray[np.float32]) -> SliceResult:
        if not np.isfinite(grid).any():
            return SliceResult(index, math.nan, None, None)
        row, column = np.unravel_index(int(np.nanargmax(grid)), grid.shape)
        score = float(grid[row, column])
        peak = (found.pixel(int(row)), found.pixel(int(column)))
        return SliceResult(index, score, self._calibration.slice_p_value(score), peak)

    def _settings(self, calibration: Calibration) -> dict[str, object]:
        looked_at: dict[str, object] = {"levels_of_range": list(self.card.levels_of_range)}
        if self.card.window:
            looked_at = {"levels_hu": list(self.card.levels_hu), "window_hu": list(self.card.window)}
        return {
            "head": self.head,
            "runtime": self.runtime,
            **looked_at,
            "calibration_patients": len(calibration.scan_scores),
            "calibration_scores": calibration.scan_scores.tolist(),
        }


def slice_scores(places: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the highest suspicion of each slice, NaN where nothing was measured.

    Parameters
    ----------
    places
        float32 ``[slice, row, column]``: pooled suspicion.
    """
    known = np.where(np.isfinite(places), places, -np.inf).max(axis=(1, 2)).astype(np.float64)
    return np.where(np.isfinite(known), known, np.nan)


def _findings(
    found: ScanEvidence, places: NDArray[np.float32], calibration: Calibration, correction: float
) -> tuple[Finding, ...]:
    """Describe the peaks that at most half of all authentic scans reach.

    ``correction`` is what a scan's score is less than its highest suspicion, for the number of its slices.
    """
    threshold = calibration.score_at(_LARGEST_FINDING_P) + correction
    peaks = find_peaks(places, found.spacing_mm, float(np.nextafter(threshold, -math.inf)))
    return tuple(found.describe(peak, calibration.scan_p_value(peak.score - correction)) for peak in peaks)


def _reasons(calibration: Calibration, verdict: Verdict, p_value: float, alarm_rate: float) -> tuple[str, ...]:
    counted = f"{p_value * 100:.3g} of 100 authentic scans score as high ({calibration.counted} compared)"
    limit = f"at most {alarm_rate * 100:.3g} are allowed." if verdict == "suspicious" else ""
    first = f"About {counted}, {limit}" if limit else f"About {counted}; the alarm is at {alarm_rate * 100:.3g}."
    return (first, *calibration.reservations(alarm_rate))


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


def choose_head(weights: Weights, name: str | None) -> HeadName:
    """Return the head to use: the one asked for, or the strongest that the weights hold.

    Raises
    ------
    WeightsError
        If there is no such head.
    """
    held = heads_in(weights)
    if name is None:
        calibrated = [each for each in held if calibration_file(each) in weights.card.files]
        return calibrated[-1] if calibrated else "typicality"
    if name not in HEADS:
        raise WeightsError(f"there is no head '{name}'. Choose one of {', '.join(HEADS)}.")
    chosen = [each for each in held if each == name]
    if not chosen:
        raise WeightsError(
            f"{weights.folder}: holds no head '{name}', only {', '.join(held)}. 'tamperscan train-head' makes one."
        )
    return chosen[0]


def read_calibration(weights: Weights, head: HeadName) -> Calibration:
    """Read the authentic scores of a head.

    Raises
    ------
    WeightsError
        If it is not calibrated, or the file is damaged.
    """
    plain = _read(weights, calibration_file(head))
    try:
        return Calibration.from_dict(plain)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{weights.folder}: the calibration can't be used ({error}). Calibrate anew.") from error


def _read_head(weights: Weights, name: HeadName) -> Head:
    plain = _read(weights, TYPICALITY_FILE)
    try:
        typicality = Typicality.from_dict(plain)
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{weights.folder}: the calibration can't be used ({error}). Calibrate anew.") from error
    return Head(name, typicality, combination=read_combination(weights) if name == "combined" else None)


def _read(weights: Weights, name: str) -> dict[str, Any]:
    if name not in weights.card.files:
        raise WeightsError(
            f"{weights.folder}: is not calibrated ({name} is missing). Run 'tamperscan calibrate' on authentic"
            " scans that were not trained on."
        )
    try:
        return _load(weights.folder / name)
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{weights.folder}: the calibration can't be used ({error}). Calibrate anew.") from error


def _load(path: Path) -> dict[str, Any]:
    loaded = parse_json(path.read_bytes())
    if not isinstance(loaded, dict):
        raise TypeError(f"{path.name} holds no object")
    return loaded
