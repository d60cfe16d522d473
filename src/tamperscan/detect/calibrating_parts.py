"""Make a detector where there are too few patients for a calibration: parts of their scans are counted instead.

Parts of one patient are not independent: p-values counted in them are rough, and every screening says so.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

from tamperscan.detect.calibrating import MeasuredScan, measure_scan, scores_of
from tamperscan.detect.calibration import CALIBRATION_FILE, calibrate
from tamperscan.detect.ground_mr import SEEN, mr_measures, seen_ranges
from tamperscan.detect.heads import TYPICALITY_FILE, Head
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.typicality import Typicality, fit_typicality
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights, write_card
from tamperscan.errors import TrainingError
from tamperscan.scan.volume import Scan

PART_SLICES = 12
_LEAST_PATIENTS = 2
_LEAST_PARTS = 19

Patients = dict[str, list[MeasuredScan]]


def calibrate_on_parts(
    weights: Weights, scans: Iterable[tuple[str, Scan]], out: Path, *, threads: int | None = None
) -> Weights:
    """Write an MR detector that counts in parts of scans.

    Each series is cut into parts of twelve slices that don't overlap. Every part is scored by a typicality that was
    fitted without its patient; the detector gets the one fitted on all.

    Parameters
    ----------
    weights
        A trained predictor for MR.
    scans
        (patient, scan) of authentic scans.
    out
        Folder of the detector; made if missing.
    threads
        CPU threads; None for all that this process may use.

    Raises
    ------
    TrainingError
        If there are fewer than two patients, or fewer than 19 parts.
    """
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card)
    patients: Patients = {}
    seen = []
    for patient, scan in scans:
        patients.setdefault(patient, []).append(measure_scan(meter, scan))
        seen.append(mr_measures(scan))
    if len(patients) < _LEAST_PATIENTS:
        raise TrainingError("Parts of one patient's scans can't be scored by another's. Give a second patient.")
    units = [[part] for patient in patients for part in _scored_parts(patients, patient)]
    if len(units) < _LEAST_PARTS:
        raise TrainingError(f"{len(units)} parts of scans are too few: {_LEAST_PARTS} are needed. Give longer series.")
    calibration = calibrate(units, parts_of=len(patients))
    out.mkdir(parents=True, exist_ok=True)
    _write_json(out / TYPICALITY_FILE, fit_on(patients).as_dict())
    _write_json(out / CALIBRATION_FILE, calibration.as_dict())
    facts = {**_facts(patients, len(units)), SEEN: seen_ranges(seen)}
    return _write_weights(weights, out, facts)


def fit_on(patients: Patients) -> Typicality:
    """Learn what is typical of patients' scans."""
    return fit_typicality([[each for scan in scans for each in scan.slices] for scans in patients.values()])


def _scored_parts(patients: Patients, patient: str) -> list[Any]:
    """Score a patient's parts by what is typical of the others: (slice scores, distance between slices in mm)."""
    others = fit_on({name: scans for name, scans in patients.items() if name != patient})
    parts = []
    for scan in patients[patient]:
        scores = scores_of(scan, Head("typicality", others))
        count = max(1, round(len(scores) / PART_SLICES))
        edges = [round(part * len(scores) / count) for part in range(count + 1)]
        parts += [(scores[first:last], scan.spacing_mm[0]) for first, last in pairwise(edges)]
    return parts


def _facts(patients: Patients, parts: int) -> dict[str, Any]:
    listed = [
        {"patient": patient, "name": scan.name, "slices": len(scan.slices)}
        for patient, scans in patients.items()
        for scan in scans
    ]
    return {
        "patients": len(patients),
        "parts": parts,
        "unit": f"parts of scans of {len(patients)} patients",
        "scans": listed,
    }


def _write_weights(weights: Weights, out: Path, facts: dict[str, Any]) -> Weights:
    names = [name for name in weights.card.files if name not in (TYPICALITY_FILE, CALIBRATION_FILE)]
    for name in names:
        if (out / name).resolve() != (weights.folder / name).resolve():
            shutil.copyfile(weights.folder / name, out / name)
    files = dict.fromkeys([*names, TYPICALITY_FILE, CALIBRATION_FILE], "")
    return write_card(out, weights.card.model_copy(update={"files": files, "calibration": facts}))


def _write_json(path: Path, plain: dict[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(plain) + "\n")
    temporary.replace(path)
