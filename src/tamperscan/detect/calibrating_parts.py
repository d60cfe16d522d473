"""Make a detector where there are too few patients for a calibration: parts of their scans are counted instead.

Parts of one patient are not independent: p-values counted in them are rough, and every screening says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.calibrating import (
    CalibratedHead,
    combination_of,
    fit_on,
    write_calibrated,
)
from tamperscan.detect.calibration import calibrate
from tamperscan.detect.ground_mr import SEEN, mr_measures, seen_ranges
from tamperscan.detect.heads import Head, HeadName, heads_in
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.measured import MeasuredScan, measure_scan, scores_of
from tamperscan.detect.self_forged import SelfForgedNetwork, read_facts
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import TrainingError
from tamperscan.scan.volume import Scan

PART_SLICES = 12
_LEAST_PATIENTS = 2
_LEAST_PARTS = 19

Patients = Mapping[str, Sequence[MeasuredScan]]
Parts = list[tuple[NDArray[np.float64], float]]


def calibrate_on_parts(
    weights: Weights, scans: Iterable[tuple[str, Scan]], out: Path, *, threads: int | None = None
) -> Weights:
    """Write an MR detector that counts in parts of scans.

    Each series is cut into parts of twelve slices that don't overlap. Every part is scored by a typicality that was
    fitted without its patient, and by the members of a self-forged head that hold the patient out; the detector gets
    the typicality fitted on all, and all members.

    Parameters
    ----------
    weights
        A trained predictor for MR, with a self-forged head or without.
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
    network = SelfForgedNetwork(weights, threads=threads) if len(heads_in(weights)) > 1 else None
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card, network)
    patients: dict[str, list[MeasuredScan]] = {}
    seen = []
    for patient, scan in scans:
        patients.setdefault(patient, []).append(measure_scan(meter, scan))
        seen.append(mr_measures(scan))
    if len(patients) < _LEAST_PATIENTS:
        raise TrainingError("Parts of one patient's scans can't be scored by another's. Give a second patient.")
    made = _calibrate_heads(weights, patients)
    parts = len(made["typicality"].calibration.scan_scores)
    if parts < _LEAST_PARTS:
        raise TrainingError(f"{parts} parts of scans are too few: {_LEAST_PARTS} are needed. Give longer series.")
    return write_calibrated(weights, out, fit_on(patients), made, {**_facts(patients, parts), SEEN: seen_ranges(seen)})


def _calibrate_heads(weights: Weights, patients: Patients) -> dict[HeadName, CalibratedHead]:
    """Calibrate each head by parts of patients that had no say in it."""
    made: dict[HeadName, CalibratedHead] = {}
    facts = read_facts(weights) if len(heads_in(weights)) > 1 else None
    others = {out: fit_on({name: scans for name, scans in patients.items() if name != out}) for out in patients}
    for name in heads_in(weights):
        combination = combination_of(name, made)
        units = []
        for patient, scans in patients.items():
            unseen = None if facts is None else facts.members_without(patient)
            head = Head(name, others[patient], unseen, combination)
            units += [[part] for scan in scans for part in _scored_parts(scan, head)]
        made[name] = CalibratedHead(calibrate(units, parts_of=len(patients)), combination=combination)
    return made


def _scored_parts(scan: MeasuredScan, head: Head) -> Parts:
    """Score a scan's parts: (slice scores, distance between slices in mm)."""
    scores = scores_of(scan, head)
    count = max(1, round(len(scores) / PART_SLICES))
    edges = [round(part * len(scores) / count) for part in range(count + 1)]
    return [(scores[first:last], scan.spacing_mm[0]) for first, last in pairwise(edges)]


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
