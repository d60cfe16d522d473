"""The measurement on forged MR, from folders to figures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tamperscan.bench.mr import (
    head_scores,
    left_out_score,
    measure_mr,
    published_score,
    thinned,
    typicality_score,
    variance_score,
)
from tamperscan.bench.mr_page import MrHeads, MrResult
from tamperscan.data import weights_path
from tamperscan.detect.calibrating import fit_on
from tamperscan.detect.heads import HEADS, TYPICALITY_FILE, Head, heads_in, read_combination
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.measured import MeasuredScan, measure_scan
from tamperscan.detect.self_forged import read_facts
from tamperscan.detect.typicality import Typicality
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights, open_weights
from tamperscan.errors import BenchError
from tamperscan.scan import Scan, read_scans

MR_SERIES = Path("mr/series")


def run_mr(
    data: Path,
    left_out: Path,
    patient: str,
    seeds: int,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MrResult:
    """Measure on the scans of one patient, with what was made of the others.

    Parameters
    ----------
    data
        Folder with ``mr/series/`` in it: one folder a series, whose name begins with that of the patient.
    left_out
        Weights of a predictor that was trained without the patient.
    patient
        Beginning of the names of its series.
    seeds
        Forgeries of each kind for each series.
    threads, progress
        As for `measure_mr`.

    Raises
    ------
    BenchError
        If there is no series of that patient, or none of others.
    """
    scans, others = _scans(data / MR_SERIES, patient)
    held_out, packaged = open_weights(left_out), open_weights(weights_path("mr"))
    typicality = Typicality.from_dict(json.loads((packaged.folder / TYPICALITY_FILE).read_text()))
    contenders = {
        "ours, patient left out": left_out_score(held_out, others, threads),
        "published score, patient left out": published_score(held_out, threads),
        "local variance": variance_score(),
        "ours, packaged (has seen the patient)": typicality_score(packaged, typicality, threads),
    }
    figures = measure_mr(scans, contenders, seeds, progress=progress)
    return MrResult(
        patient=patient,
        series=tuple(scan.name for scan in scans),
        others=tuple(dict.fromkeys(name for name, _ in others)),
        seeds=seeds,
        weights={held_out.card.name: held_out.sha256, packaged.card.name: packaged.sha256},
        figures=tuple(figures),
    )


def run_mr_heads(
    data: Path,
    detector: Path,
    seeds: int,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MrHeads:
    """Measure the heads of an MR detector, each patient by what has not learned from it.

    Parameters
    ----------
    data, seeds, threads, progress
        As for `run_mr`; progress is told anew for each patient.
    detector
        Folder of weights with a self-forged head, calibrated on parts of the scans.

    Raises
    ------
    BenchError
        If the detector has no self-forged head, or the scans that it was made of are missing.
    """
    weights = open_weights(detector)
    if len(heads_in(weights)) == 1:
        raise BenchError(f"{detector}: has one head only, there is nothing to compare. Train a self-forged head first.")
    facts = read_facts(weights)
    scans = {patient: _scans(data / MR_SERIES, patient)[0] for names in facts.held_out for patient in names}
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card)
    learned = {name: [measure_scan(meter, thinned(scan)) for scan in own] for name, own in scans.items()}
    patients = {}
    for patient, own in scans.items():
        scores = head_scores(weights, _heads_without(weights, patient, learned), threads)
        figures = measure_mr(own, scores, seeds, progress=progress)
        patients[patient] = (tuple(scan.name for scan in own), tuple(figures))
    return MrHeads((weights.card.name, weights.sha256), seeds, patients)


def _heads_without(weights: Weights, patient: str, learned: dict[str, list[MeasuredScan]]) -> dict[str, Head]:
    """Return every head as it would be had it not learned from a patient, by name."""
    others = fit_on({name: measured for name, measured in learned.items() if name != patient})
    members = read_facts(weights).members_without(patient)
    return {name: Head(name, others, members, read_combination(weights)) for name in HEADS}


def _scans(folder: Path, patient: str) -> tuple[list[Scan], list[tuple[str, Scan]]]:
    """Return (the patient's scans, (patient, scan) of the others)."""
    if not folder.is_dir():
        raise BenchError(f"{folder}: is not there. Give the folder of real scans as --data.")
    series = sorted(folder.iterdir())
    scans = [scan for each in series if each.name.startswith(patient) for scan in read_scans(each)]
    # Without a list of patients, the first two parts of a name tell them apart: UCSF-BR-06_..., STS_001_...
    others = [
        ("_".join(each.name.split("_")[:2]), scan)
        for each in series
        if not each.name.startswith(patient)
        for scan in read_scans(each)
    ]
    if not scans or not others:
        raise BenchError(f"{folder}: needs series of {patient} and of other patients. Check --patient.")
    return scans, others
