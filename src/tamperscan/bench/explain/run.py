"""The explanation from the folders to its results: what the command calls."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tamperscan.bench.explain import pairs, zones
from tamperscan.bench.explain.levels import LEVELS_HU, Sweep, sweep
from tamperscan.bench.explain.pairs import METHODS, ForgedResult
from tamperscan.bench.explain.predictors import Predict, hu_predictor, torch_predictor
from tamperscan.bench.explain.spectra import SpectrumRatio, spectra
from tamperscan.bench.explain.subjects import Subject, healthy_subjects, nodule_subjects, tampered_subjects
from tamperscan.bench.explain.swaps import Swap, swaps
from tamperscan.bench.explain.zones import AttributionResult, Compared
from tamperscan.bench.labels import KINDS, read_labels
from tamperscan.bench.runs import Request
from tamperscan.bench.subjects import CTGAN_FOLDER, held_out_patients, made_of
from tamperscan.detect.load import load_detector
from tamperscan.diffusion.weights import Weights
from tamperscan.forge.method import Action
from tamperscan.scan import Scan


@dataclass(frozen=True)
class Material:
    """What was looked at.

    Attributes
    ----------
    labelled
        Tampered slices by kind, as labelled.
    tampered, scans
        Those with enough lung, and the scans that they are of, by kind.
    nodules, nodule_patients
        Real nodules and tumours that readers marked, in authentic scans.
    healthy, healthy_patients
        Healthy places for the exchanges.
    not_held_out
        Authentic scans that the detector's card says were trained or calibrated on: there should be none.
    """

    labelled: Mapping[str, int]
    tampered: Mapping[str, int]
    scans: Mapping[str, int]
    nodules: int
    nodule_patients: int
    healthy: int
    healthy_patients: int
    not_held_out: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a detector tells tampered places from others, as far as it was measured.

    Attributes
    ----------
    detector, weights_sha256
        What is explained.
    levels_hu
        The levels that the detector asks at.
    asked_hu
        The levels that it is asked at here.
    material
        What was looked at.
    attribution
        Where the score comes from; None where nothing could be compared.
    spectra
        Tampered places against the rest of their slices.
    swaps
        What exchanges of fine structure do.
    sweeps
        How places stand out, by noise level.
    forged
        What forging methods do to healthy places.
    skipped
        Methods and places of them that could not be measured, and why.
    seconds
        What it took.
    """

    detector: str
    weights_sha256: str
    levels_hu: tuple[float, ...]
    asked_hu: tuple[float, ...]
    material: Material
    attribution: AttributionResult | None
    spectra: tuple[SpectrumRatio, ...]
    swaps: tuple[Swap, ...]
    sweeps: tuple[Sweep, ...]
    forged: tuple[ForgedResult, ...]
    skipped: Mapping[str, str]
    seconds: float


def run_explanation(
    request: Request, methods: Mapping[str, tuple[Action, ...]] = METHODS
) -> tuple[Explanation, list[Compared]]:
    """Explain a detector.

    Parameters
    ----------
    request
        What to explain, and on what.
    methods
        Forging methods to look at.

    Returns
    -------
    The results, and the attributions behind them for pictures.

    Raises
    ------
    ScanError, WeightsError, TrainingError, BenchError
        If the slices, the detector or the split can't be read, or the detector's network is of a make that can't be
        explained.
    """
    begun = time.monotonic()
    weights = load_detector(request.detector).weights
    predict, torch_network = hu_predictor(weights), torch_predictor(weights)
    labels = read_labels(request.data / CTGAN_FOLDER)
    tampered = tampered_subjects(request.data / CTGAN_FOLDER, labels, request.on_error, request.step("Tampered slices"))
    patients = _patients(request, weights)
    nodules, healthy = nodule_subjects(patients), healthy_subjects(patients)
    sweeps = sweep([*tampered, *nodules], predict, report=request.step("Noise levels"))
    ratios = _spectra(tampered, predict, weights, request)
    exchanged = swaps(healthy, predict, report=request.step("Exchanges"))
    compared = zones.attributions(tampered, torch_network, report=request.step("Attributions"))
    skipped: dict[str, str] = {}
    forged = pairs.forged_pairs(patients, methods, skipped=skipped, report=request.step("Forging"))
    explanation = Explanation(
        detector=weights.card.name,
        weights_sha256=weights.sha256,
        levels_hu=weights.card.levels_hu,
        asked_hu=LEVELS_HU,
        material=_material([label.kind for label in labels], tampered, nodules, healthy, patients, weights),
        attribution=zones.summarise(compared, torch_network),
        spectra=ratios,
        swaps=exchanged,
        sweeps=sweeps,
        forged=pairs.compare(forged, predict, report=request.step("Forged places")),
        skipped=skipped,
        seconds=time.monotonic() - begun,
    )
    return explanation, compared


def _patients(request: Request, weights: Weights) -> list[tuple[str, Scan]]:
    found = held_out_patients(
        request.data,
        request.split,
        weights.card.modality,
        on_error=request.on_error,
        report=request.step("Authentic scans"),
    )
    return list(found)


def _spectra(
    tampered: Sequence[Subject], predict: Predict, weights: Weights, request: Request
) -> tuple[SpectrumRatio, ...]:
    levels = weights.card.levels_hu
    return spectra(tampered, predict, levels, report=request.step("Spectra"))


def _material(
    kinds: Sequence[str],
    tampered: Sequence[Subject],
    nodules: Sequence[Subject],
    healthy: Sequence[Subject],
    patients: Sequence[tuple[str, Scan]],
    weights: Weights,
) -> Material:
    return Material(
        labelled={kind: kinds.count(kind) for kind in KINDS},
        tampered={kind: sum(one.kind == kind for one in tampered) for kind in KINDS},
        scans={kind: len({one.group for one in tampered if one.kind == kind}) for kind in KINDS},
        nodules=len(nodules),
        nodule_patients=len({one.group for one in nodules}),
        healthy=len(healthy),
        healthy_patients=len({one.group for one in healthy}),
        not_held_out=tuple(sorted(made_of(weights.card) & {scan.name for _, scan in patients})),
    )
