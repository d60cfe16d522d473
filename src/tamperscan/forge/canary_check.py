"""Forging canaries of the scans that a detector was calibrated on, and keeping in its card whether it finds them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tamperscan.detect.canaries import PATIENTS, CanaryPair, CanaryResult, Score, check_canaries
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.results import Screening
from tamperscan.detect.self_forged import SelfForgedNetwork, suspicion_of_odds
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights, write_card
from tamperscan.forge.canaries import canary_methods, canary_pairs
from tamperscan.scan import PlannedScan, Scan


def canaries_of(scans: Iterable[tuple[str, Scan | PlannedScan]], most: int = PATIENTS) -> Iterator[CanaryPair]:
    """Forge canaries of the first scans of so many patients.

    Parameters
    ----------
    scans
        (patient, scan), decoded or still to be; chest CT.
    most
        How many patients; those whose scans have no place for a forgery don't count.
    """
    methods, used = canary_methods(), set[str]()
    for patient, planned in scans:
        if len(used) == most or not methods:
            return
        if patient in used:
            continue
        scan = planned.read() if isinstance(planned, PlannedScan) else planned
        if scan is None or scan.modality != "CT":
            continue
        for pair in canary_pairs(patient, scan, methods):
            used.add(patient)
            yield pair


def slice_score(screen: Callable[[Scan], Screening]) -> Score:
    """Return how suspicious a calibrated detector finds a scan of one slice."""

    def score(scan: Scan) -> float:
        known = [each.score for each in screen(scan).slices if math.isfinite(each.score)]
        return max(known, default=math.nan)

    return score


def head_score(weights: Weights, threads: int | None = None) -> Score:
    """Return how suspicious a self-forged head finds a scan of one slice; it needs no calibration."""
    network = SelfForgedNetwork(weights, threads=threads)
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card, network)

    def score(scan: Scan) -> float:
        measured = meter.of(scan).measure(scan.voxels[0], (scan.spacing_mm[1], scan.spacing_mm[2]))
        if measured is None or measured.odds is None:
            return math.nan
        suspicion = suspicion_of_odds(measured.odds, None)[1]
        return float(np.nanmax(suspicion)) if np.isfinite(suspicion).any() else math.nan

    return score


def check_and_note(
    weights: Weights,
    score: Score,
    scans: Iterable[tuple[str, Scan | PlannedScan]],
    on_pair: Callable[[], None] = lambda: None,
) -> tuple[CanaryResult, Weights]:
    """Check a detector or a head, and write what came of it into its card.

    Parameters
    ----------
    weights
        Just made.
    score
        `slice_score` or `head_score`.
    scans
        (patient, scan) that it was made of.
    on_pair
        Called after each canary.
    """
    result = check_canaries(score, canaries_of(scans), on_pair)
    facts = {**weights.card.calibration, "canaries": result.as_dict()}
    return result, write_card(weights.folder, weights.card.model_copy(update={"calibration": facts}))
