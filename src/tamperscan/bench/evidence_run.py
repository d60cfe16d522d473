"""The study of evidence: what each way from window statistics to evidence finds of CT-GAN, on the development half."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tamperscan.bench.evidence_forms import Map, Standardised, by_distance, distances, one_size, over_sizes
from tamperscan.bench.evidence_measuring import SIZES_MM, StudySlice, measure_study
from tamperscan.bench.labels import KINDS, Kind
from tamperscan.bench.metrics import Estimate, auc_estimate, mean_estimate, share_estimate
from tamperscan.bench.places import FAR_MM, HIT_MM
from tamperscan.detect.statistics import WINDOW_MM
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import ScanError

PACKAGED: Final = f"one-sided distance, {WINDOW_MM:g} mm (as packaged)"


@dataclass(frozen=True)
class KindFigures:
    """What a way finds of one kind of tampering.

    Attributes
    ----------
    auc
        Per slice, place not given, against authentic slices; patients counting alike.
    within
        Mean share of a slice's untampered places with less evidence than the highest of the tampered place.
    localised
        Share of the slices whose peak lies within 16 mm of the label.
    """

    auc: Estimate
    within: Estimate
    localised: Estimate


@dataclass(frozen=True)
class EvidenceResult:
    """The study's outcome.

    Attributes
    ----------
    weights_sha256
        Of the noise predictor.
    patients, authentic
        Authentic patients and slices.
    tampered
        Number of tampered slices by kind.
    ways
        Figures by the way's name, then by kind.
    """

    weights_sha256: str
    patients: int
    authentic: int
    tampered: Mapping[Kind, int]
    ways: Mapping[str, Mapping[Kind, KindFigures]]


def run_evidence(
    weights: Weights,
    data: Path,
    split: Path,
    *,
    threads: int | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[int], None] = lambda done: None,
) -> EvidenceResult:
    """Measure every way.

    Parameters
    ----------
    weights, data, split, threads, on_error, report
        As for `measure_study`.
    """
    slices = measure_study(weights, data, split, threads=threads, on_error=on_error, report=report)
    scores = Standardised(slices)
    return EvidenceResult(
        weights_sha256=weights.sha256,
        patients=len({each.group for each in slices if each.kind is None}),
        authentic=sum(each.kind is None for each in slices),
        tampered={kind: sum(each.kind == kind for each in slices) for kind in KINDS},
        ways={name: judge(slices, make()) for name, make in _ways(scores).items()},
    )


def _ways(scores: Standardised) -> dict[str, Callable[[], list[Map]]]:
    """Name the ways, the packaged one first; each is computed when it is called."""
    ways: dict[str, Callable[[], list[Map]]] = {PACKAGED: lambda: one_size(scores)}
    for size in SIZES_MM:
        if size != WINDOW_MM:
            ways[f"one-sided distance, {size:g} mm"] = lambda size=size: one_size(scores, size)  # type: ignore[misc]
    ways["scan statistic: largest over all sizes"] = lambda: over_sizes(scores, "max")
    ways["scan statistic: mean over all sizes"] = lambda: over_sizes(scores, "mean")
    ways["without whiteness"] = lambda: one_size(scores, chosen="energy only")
    ways["with the Jacobian's trace"] = lambda: one_size(scores, chosen="with trace")
    for name, make in distances().items():
        ways[name] = lambda make=make: by_distance(scores, make)  # type: ignore[misc]
    return ways


def judge(slices: Sequence[StudySlice], maps: Sequence[Map]) -> dict[Kind, KindFigures]:
    """Return the figures of a way by the maps that it makes of the slices."""
    peaks = [float(np.nanmax(each)) for each in maps]
    authentic = [index for index, each in enumerate(slices) if each.kind is None]
    figures: dict[Kind, KindFigures] = {}
    for kind in KINDS:
        chosen = [index for index, each in enumerate(slices) if each.kind == kind]
        groups = [slices[index].group for index in chosen]
        figures[kind] = KindFigures(
            auc=auc_estimate(
                [peaks[index] for index in chosen],
                [peaks[index] for index in authentic],
                groups,
                [slices[index].group for index in authentic],
            ),
            within=mean_estimate([_within(slices[index], maps[index]) for index in chosen], groups),
            localised=share_estimate([_hit(slices[index], maps[index]) for index in chosen], groups),
        )
    return figures


def _within(own: StudySlice, values: Map) -> float:
    assert own.distance_mm is not None  # tampered slices have one
    known = np.isfinite(values)
    near, far = known & (own.distance_mm <= HIT_MM), known & (own.distance_mm > FAR_MM)
    if not near.any() or not far.any():
        return 0.0
    highest = values[near].max()
    return float(np.mean((values[far] < highest) + 0.5 * (values[far] == highest)))


def _hit(own: StudySlice, values: Map) -> bool:
    assert own.distance_mm is not None  # tampered slices have one
    peak = np.unravel_index(int(np.nanargmax(values)), values.shape)
    return bool(own.distance_mm[peak] <= HIT_MM)
