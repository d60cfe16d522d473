"""Make a detector of a trained predictor: learn what is typical, and count what authentic scans score."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.calibration import calibrate
from tamperscan.detect.detector import CALIBRATION_FILE, TYPICALITY_FILE, reasons_to_abstain
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.statistics import WindowStatistics
from tamperscan.detect.typicality import Typicality, evidence, fit_typicality
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Card, Weights, write_card
from tamperscan.errors import TrainingError
from tamperscan.scan.volume import Scan

_LEAST_PATIENTS = 5


@dataclass(frozen=True, eq=False)
class MeasuredScan:
    """A scan's slices on the coarse grid.

    Attributes
    ----------
    name
        Name of the scan.
    slices
        Measurements of the slices that hold lung and were measured.
    spacing_mm
        Distance along (slice, row, column) between those slices' voxels.
    """

    name: str
    slices: tuple[WindowStatistics, ...]
    spacing_mm: tuple[float, float, float]


def measure_scan(meter: SliceMeter, scan: Scan) -> MeasuredScan:
    """Measure all slices of a scan: screening takes the maximum over all of them, and so must calibration."""
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    measured = (meter.measure(image, pixel_mm) for image in scan.voxels)
    slices = tuple(each.statistics for each in measured if each is not None)
    return MeasuredScan(scan.name, slices, scan.spacing_mm)


def calibrate_weights(
    weights: Weights,
    scans: Iterable[tuple[str, Scan]],
    out: Path,
    *,
    on_scan: Callable[[str, str], None] = lambda name, outcome: None,
) -> Weights:
    """Write a calibrated detector.

    Each patient is scored by a typicality that was fitted without it (leave one patient out); the detector gets the
    one fitted on all.

    Parameters
    ----------
    weights
        The trained predictor.
    scans
        (patient, scan) of authentic scans.
    out
        Folder of the detector; made if missing.
    on_scan
        Called with each scan's name and what came of it.

    Raises
    ------
    TrainingError
        If fewer than five patients have lungs that could be measured.
    """
    patients = _measure_all(weights, scans, on_scan)
    if len(patients) < _LEAST_PATIENTS:
        raise TrainingError(
            f"{len(patients)} patients with measurable lungs are too few to calibrate on: at least {_LEAST_PATIENTS}"
            " are needed, and 19 for an alarm rate of 0.05. Give more authentic scans."
        )
    scores = [_scores_left_out(patients, left_out) for left_out in patients]
    calibration = calibrate(scores)
    typicality = fit_typicality([_slices(measured) for measured in patients.values()])
    out.mkdir(parents=True, exist_ok=True)
    _write_json(out / TYPICALITY_FILE, typicality.as_dict())
    _write_json(out / CALIBRATION_FILE, calibration.as_dict())
    names = [name for name in weights.card.files if name not in (TYPICALITY_FILE, CALIBRATION_FILE)]
    for name in names:
        if (out / name).resolve() != (weights.folder / name).resolve():
            shutil.copyfile(weights.folder / name, out / name)
    return write_card(out, _calibrated_card(weights.card, names, patients))


def _measure_all(
    weights: Weights, scans: Iterable[tuple[str, Scan]], on_scan: Callable[[str, str], None]
) -> dict[str, list[MeasuredScan]]:
    meter = SliceMeter(NoisePredictor(weights), weights.card)
    patients: dict[str, list[MeasuredScan]] = {}
    for patient, scan in scans:
        reasons = reasons_to_abstain(scan, weights.card)
        measured = None if reasons else measure_scan(meter, scan)
        if measured is None or not measured.slices:
            on_scan(scan.name, " ".join(reasons) or "no lung")
            continue
        patients.setdefault(patient, []).append(measured)
        on_scan(scan.name, f"{len(measured.slices)} slices")
    return patients


def _scores_left_out(patients: dict[str, list[MeasuredScan]], left_out: str) -> list[tuple[NDArray[np.float64], float]]:
    others = [_slices(measured) for patient, measured in patients.items() if patient != left_out]
    typicality = fit_typicality(others)
    return [(slice_scores(scan, typicality), scan.spacing_mm[0]) for scan in patients[left_out]]


def slice_scores(scan: MeasuredScan, typicality: Typicality) -> NDArray[np.float64]:
    """Return the highest suspicion of each measured slice."""
    pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    maps = (evidence(statistics, typicality, pixel_mm).suspicion for statistics in scan.slices)
    return np.array([float(np.nanmax(each)) if np.isfinite(each).any() else np.nan for each in maps])


def _slices(scans: list[MeasuredScan]) -> list[WindowStatistics]:
    return [statistics for scan in scans for statistics in scan.slices]


def _calibrated_card(card: Card, names: list[str], patients: dict[str, list[MeasuredScan]]) -> Card:
    facts: dict[str, Any] = {
        "patients": len(patients),
        "scans": [
            {"patient": patient, "name": scan.name, "slices": len(scan.slices)}
            for patient, measured in patients.items()
            for scan in measured
        ],
    }
    files = dict.fromkeys([*names, TYPICALITY_FILE, CALIBRATION_FILE], "")
    return card.model_copy(update={"files": files, "calibration": facts})


def _write_json(path: Path, plain: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(plain) + "\n")
    temporary.replace(path)
