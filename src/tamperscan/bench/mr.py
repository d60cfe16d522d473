"""How well tampering in MR is found: forgeries made in one patient's scans, place not given.

With few patients, one is left out: its scans are measured by a predictor and a typicality that never saw it, and beside
that by the packaged detector, which did.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from tamperscan.bench.contenders.high_pass import HighPass
from tamperscan.bench.metrics import Estimate, auc, auc_estimate, mean_estimate, share_estimate
from tamperscan.bench.units import bench_units
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.blocks import block_mean
from tamperscan.detect.calibrating import fit_on
from tamperscan.detect.heads import Head
from tamperscan.detect.measure import SliceMeasurement, SliceMeter
from tamperscan.detect.measured import measure_scan
from tamperscan.detect.regions_mr import body_mask, find_air
from tamperscan.detect.self_forged import SelfForgedNetwork
from tamperscan.detect.statistics import grid_step
from tamperscan.detect.typicality import Typicality
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import ForgeError
from tamperscan.forge.forgery import Forgery, forge
from tamperscan.forge.method import Action, load_method
from tamperscan.forge.places import find_place
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import signal_window

ATTACKS: Final[tuple[tuple[str, Action], ...]] = (
    ("copymove", "inject"),
    ("nodule", "inject"),
    ("copymove", "remove"),
    ("smooth", "remove"),
)
NEAR_MM: Final = 16.0
# Every so many of a series' slices is measured as an authentic one.
_EVERY = 4
_SETTLING_MM = 6.0

Map = NDArray[np.float32]
Score = Callable[[Scan, int], Map | None]
"""Takes a scan and the number of a slice; gives its suspicion on the coarse grid, NaN where there is none."""


@dataclass(frozen=True)
class MrFigures:
    """What one contender reached against one attack.

    Attributes
    ----------
    contender, method, action
        Who, against what.
    forgeries
        How many could be scored.
    per_slice
        AUC of the forged places' middle slices against authentic slices of the same series.
    within
        AUC of the altered windows against those further than 16 mm away in the same slice.
    localised
        Share of slices whose peak lies within 16 mm of the place.
    """

    contender: str
    method: str
    action: Action
    forgeries: int
    per_slice: Estimate
    within: Estimate
    localised: Estimate


@dataclass(frozen=True, eq=False)
class _Scored:
    """A slice's outcome: its highest suspicion, and for a forged one the other two measures."""

    series: str
    attack: tuple[str, Action] | None
    score: float
    within: float = math.nan
    hit: bool = False


def left_out_score(weights: Weights, others: Iterable[tuple[str, Scan]], threads: int | None = None) -> Score:
    """Return our score with what is typical learned from other patients.

    Parameters
    ----------
    weights
        A predictor that was trained without the patient.
    others
        (patient, scan) of the other patients.
    threads
        CPU threads.
    """
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card)
    patients: dict[str, list[Scan]] = {}
    for patient, scan in others:
        patients.setdefault(patient, []).append(scan)
    learned = {name: [measure_scan(meter, thinned(scan)) for scan in scans] for name, scans in patients.items()}
    return typicality_score(weights, fit_on(learned), threads)


def typicality_score(weights: Weights, typicality: Typicality, threads: int | None = None) -> Score:
    """Return our score with a given typicality."""
    return head_scores(weights, {"typicality": Head("typicality", typicality)}, threads)["typicality"]


def head_scores(weights: Weights, heads: Mapping[str, Head], threads: int | None = None) -> dict[str, Score]:
    """Return the scores of several heads; what they share is measured once for a slice.

    Parameters
    ----------
    weights
        With a self-forged head, if any of the heads needs it.
    heads
        By name.
    threads
        CPU threads.
    """
    needed = any(head.name != "typicality" for head in heads.values())
    network = SelfForgedNetwork(weights, threads=threads) if needed else None
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card, network)
    last: list[tuple[Scan, int, SliceMeasurement | None]] = []

    def measure(scan: Scan, index: int) -> SliceMeasurement | None:
        if not last or last[0][0] is not scan or last[0][1] != index:
            pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
            last[:] = [(scan, index, meter.of(scan).measure(scan.voxels[index], pixel_mm))]
        return last[0][2]

    def score(scan: Scan, index: int, head: Head) -> Map | None:
        measured = measure(scan, index)
        pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
        return None if measured is None else head.evidence(measured.statistics, measured.odds, pixel_mm).suspicion

    return {name: partial(score, head=head) for name, head in heads.items()}


def published_score(weights: Weights, threads: int | None = None) -> Score:
    """Return the published score with a predictor of ours."""
    detector = BackInTime(weights, threads=threads)
    return _in_body(lambda scan, index: detector.screen(_one(scan, index)).suspicion[0])


def variance_score() -> Score:
    """Return the local variance of the high-pass: what needs no learning."""
    return _in_body(lambda scan, index: HighPass().energy(bench_units(_one(scan, index))[0], scan.spacing_mm[1:]))


def measure_mr(
    scans: Sequence[Scan],
    contenders: Mapping[str, Score],
    seeds: int,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[MrFigures]:
    """Forge a patient's scans and say how well each contender finds it.

    Parameters
    ----------
    scans
        The authentic series of one patient.
    contenders
        Name to score.
    seeds
        Forgeries of each kind for each series.
    progress
        Called with (orders done, orders in all).
    """
    scored: dict[str, list[_Scored]] = {name: [] for name in contenders}
    orders = list(product(scans, ATTACKS, range(seeds)))
    for scan in scans:
        for index, (name, score) in product(range(0, scan.shape[0], _EVERY), contenders.items()):
            scored[name] += _kept(_Scored(scan.name, None, _highest(score(scan, index))))
    for done, (scan, attack, seed) in enumerate(orders):
        forgery = _forge(scan, attack, seed)
        for name, score in contenders.items() if forgery else ():
            scored[name] += _kept(_judge(scan.name, attack, forgery, score))
        progress(done + 1, len(orders))
    return [_figures(name, attack, found) for attack in ATTACKS for name, found in scored.items()]


def _forge(scan: Scan, attack: tuple[str, Action], seed: int) -> Forgery | None:
    """Forge a scan; None where nothing fits."""
    method, action = attack
    try:
        return forge(scan, load_method(method), action, find_place(scan, action, seed), seed=seed)
    except ForgeError:
        return None


def _judge(series: str, attack: tuple[str, Action], forgery: Forgery | None, score: Score) -> _Scored:
    assert forgery is not None
    place, scan = forgery.record.place, forgery.scan
    suspicion = score(scan, place.slice)
    if suspicion is None or not np.isfinite(suspicion).any():
        return _Scored(series, attack, math.nan)
    step = grid_step(scan.spacing_mm[1:])
    altered = block_mean(forgery.mask[place.slice].astype(np.float32), step) > 0.5
    away_mm = _distance_mm(suspicion.shape, step, (place.row, place.column), scan)
    known = np.isfinite(suspicion)
    here, there = suspicion[known & altered], suspicion[known & (away_mm > NEAR_MM) & ~altered]
    peak = np.unravel_index(int(np.nanargmax(suspicion)), suspicion.shape)
    within = auc(here, there) if here.size and there.size else math.nan
    return _Scored(series, attack, _highest(suspicion), within, bool(away_mm[peak] <= NEAR_MM))


def _figures(name: str, attack: tuple[str, Action], found: Sequence[_Scored]) -> MrFigures:
    forged = [each for each in found if each.attack == attack]
    authentic = [each for each in found if each.attack is None]
    # One patient: places are drawn, each by itself, and the interval says nothing of other patients.
    places = [str(number) for number in range(len(forged))]
    slices = [str(number) for number in range(len(authentic))]
    per_slice = auc_estimate([each.score for each in forged], [each.score for each in authentic], places, slices)
    within = mean_estimate([each.within for each in forged], places)
    return MrFigures(name, *attack, len(forged), per_slice, within, share_estimate([e.hit for e in forged], places))


def _kept(one: _Scored) -> list[_Scored]:
    return [one] if math.isfinite(one.score) else []


def _highest(suspicion: Map | None) -> float:
    return float(np.nanmax(suspicion)) if suspicion is not None and np.isfinite(suspicion).any() else math.nan


def _distance_mm(shape: tuple[int, ...], step: int, place: tuple[int, int], scan: Scan) -> NDArray[np.float64]:
    rows = ((np.arange(shape[0]) + 0.5) * step - place[0]) * scan.spacing_mm[1]
    columns = ((np.arange(shape[1]) + 0.5) * step - place[1]) * scan.spacing_mm[2]
    distance: NDArray[np.float64] = np.hypot(rows[:, None], columns[None, :])
    return distance


def _in_body(energy: Callable[[Scan, int], Map]) -> Score:
    """Bring a map of pixels to the coarse grid, within the body, smoothed as ours is."""

    def score(scan: Scan, index: int) -> Map | None:
        pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
        step = grid_step(pixel_mm)
        air = find_air(scan.voxels, signal_window(scan.voxels))
        body = block_mean(body_mask(scan.voxels[index], air, pixel_mm).astype(np.float32), step) > 0.5
        smooth = ndimage.gaussian_filter(block_mean(energy(scan, index), step), _SETTLING_MM / (step * pixel_mm[0]))
        return np.where(body, smooth, np.float32(np.nan)).astype(np.float32) if body.any() else None

    return score


def _one(scan: Scan, index: int) -> Scan:
    return replace(scan, voxels=scan.voxels[index : index + 1])


def thinned(scan: Scan) -> Scan:
    """Take every so many slices, at most about 60: enough to learn from, with the range of the whole."""
    every = max(1, scan.shape[0] // 60)
    return replace(scan, voxels=scan.voxels[::every])
