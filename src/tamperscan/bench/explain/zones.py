"""Attributions by zone: the core of a tampered square, its seam, and what is around; healthy places to compare."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.explain.attribution import NODES, WINDOW_MM, Attribution, attribute, lung_around
from tamperscan.bench.explain.averages import geometric_means, means
from tamperscan.bench.explain.predictors import TorchPredictor
from tamperscan.bench.explain.subjects import HALF_MM, Subject, offset_mm
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.places import Place, grid_places

ZONES_MM: Final = {"core": (0.0, 8.0), "inner": (8.0, 13.0), "seam": (13.0, 19.0), "outside": (19.0, WINDOW_MM)}
"""By the distance from the place along the farther axis; the cube of CT-GAN ends at 16 mm."""

PROFILE_MM: Final = tuple(float(edge) for edge in range(0, 28, 3))
"""Edges of the finer zones of the profile."""

CONTROLS: Final = 2
"""Healthy places of the same slice that each tampered one is compared with."""

REACH_MM: Final = 2.0
"""Half the side of the small square whose score is traced to see how far the network looks."""

_EVERY_MM = 8.0
_FAR_MM = 36.0
_LEAST_MM2 = 20.0
# What is known of a healthy window's lung should be about as much as of a tampered one's.
_LEAST_LUNG = 0.4

Report = Callable[[int, int], None]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class ZoneRatio:
    """One zone of the tampered places against the same zone of healthy places in the same slices.

    Attributes
    ----------
    kind, tissue, zone
        Which places, in which tissue, how far from the place.
    places, scans
        How many were measured.
    density, healthy_density
        Absolute attribution per mm², that of the whole window being 1: at tampered and at healthy places.
    attribution
        Ratio of the absolute attributions per mm².
    energy
        Ratio of the predicted noise's mean squares.
    extra
        Net attribution per mm² above that of the healthy places, in units of a healthy window's score per mm².
    """

    kind: str
    tissue: str
    zone: str
    places: int
    scans: int
    density: Estimate
    healthy_density: Estimate
    attribution: Estimate
    energy: Estimate
    extra: Estimate


@dataclass(frozen=True)
class AttributionResult:
    """Where the score comes from.

    Attributes
    ----------
    zones
        By kind, tissue and zone.
    profile
        Of the parenchyma in finer zones; its ``zone`` is the middle in mm.
    windows
        How many windows were attributed, tampered and healthy.
    median_gap, largest_gap
        How far sums of attributions are off the scores' differences, as parts of these.
    baseline_share
        Median over the windows of the baseline's score over that of the image.
    reach_half_mm, reach_most_mm
        Median distances from a small square within which half, and nine tenths, of the absolute attribution of its
        score lie.
    """

    zones: tuple[ZoneRatio, ...]
    profile: tuple[ZoneRatio, ...]
    windows: int
    median_gap: float
    largest_gap: float
    baseline_share: float
    reach_half_mm: float
    reach_most_mm: float


@dataclass(frozen=True, eq=False)
class Compared:
    """A tampered place's attribution with those of healthy places in the same slice."""

    subject: Subject
    tampered: Attribution
    healthy: tuple[tuple[Place, Attribution], ...]


def attributions(
    subjects: Sequence[Subject], predictor: TorchPredictor, *, nodes: int = NODES, report: Report = lambda *_: None
) -> list[Compared]:
    """Attribute the scores of tampered places, and of healthy places to compare with.

    Parameters
    ----------
    subjects
        Tampered places; those without a healthy place in their slice are left out.
    predictor
        The network in torch.
    nodes
        Of the integration.
    report
        Called with (places done, places in all).
    """
    found = []
    for done, subject in enumerate(subjects, start=1):
        tampered = attribute(subject, predictor, subject.place, nodes=nodes)
        healthy = [(place, attribute(subject, predictor, place, nodes=nodes)) for place in _controls(subject)]
        known = tuple((place, one) for place, one in healthy if one is not None)
        if tampered is not None and known:
            found.append(Compared(subject, tampered, known))
        report(done, len(subjects))
    return found


def summarise(compared: Sequence[Compared], predictor: TorchPredictor) -> AttributionResult | None:
    """Average the attributions by zone; None without any."""
    if not compared:
        return None
    everything = [one for each in compared for one in (each.tampered, *(healthy for _, healthy in each.healthy))]
    gaps = [abs(one.gap) for one in everything]
    finer = {f"{(low + high) / 2:g}": (low, high) for low, high in pairwise(PROFILE_MM)}
    zones = [
        _ratio(kind, some, "parenchyma", name, ZONES_MM[name]) for kind, some in _kinds(compared) for name in ZONES_MM
    ]
    zones += [_ratio(kind, some, "soft", "core", ZONES_MM["core"]) for kind, some in _kinds(compared)]
    profile = [
        _ratio(kind, some, "parenchyma", name, ends) for kind, some in _kinds(compared) for name, ends in finer.items()
    ]
    reaches = [reach_mm(each.subject, predictor) for each in compared[:: max(1, len(compared) // 12)]]
    half, most = np.nanmedian(np.array(reaches), axis=0)
    return AttributionResult(
        zones=tuple(zones),
        profile=tuple(profile),
        windows=len(everything),
        median_gap=float(np.median(gaps)),
        largest_gap=float(np.max(gaps)),
        baseline_share=float(np.median([one.baseline / one.score for one in everything])),
        reach_half_mm=float(half),
        reach_most_mm=float(most),
    )


def reach_mm(subject: Subject, predictor: TorchPredictor) -> tuple[float, float]:
    """Return the distances from a small square that hold half, and nine tenths, of its score's absolute attribution."""
    small = attribute(subject, predictor, subject.place, radius_mm=REACH_MM)
    if small is None:
        return math.nan, math.nan
    beyond = np.maximum(offset_mm(subject, subject.place) - REACH_MM, 0.0).ravel()
    order = np.argsort(beyond, kind="stable")
    reached = np.cumsum(np.abs(small.values).ravel()[order])
    half, most = np.searchsorted(reached, [part * reached[-1] for part in (0.5, 0.9)])
    return float(beyond[order[half]]), float(beyond[order[most]])


def _controls(subject: Subject) -> list[Place]:
    """Choose healthy places amid lung, the same each time: evenly spread over those that there are."""
    share = lung_around(subject)
    places = grid_places(subject.lung & subject.far(_FAR_MM), subject.spacing_mm, _EVERY_MM)
    usable = [place for place in places if share[place] >= _LEAST_LUNG and subject.fits(place, HALF_MM)]
    if len(usable) <= CONTROLS:
        return usable
    return [usable[(2 * index + 1) * len(usable) // (2 * CONTROLS)] for index in range(CONTROLS)]


def _kinds(compared: Sequence[Compared]) -> Iterable[tuple[str, list[Compared]]]:
    for kind in dict.fromkeys(each.subject.kind for each in compared):
        yield kind, [each for each in compared if each.subject.kind == kind]


def _ratio(kind: str, compared: Sequence[Compared], tissue: str, name: str, ends: tuple[float, float]) -> ZoneRatio:
    """Compare a zone; soft tissue is rare, so at healthy places all of it in the window serves."""
    whole = (0.0, WINDOW_MM)
    measured = []
    for each in compared:
        here = _Sums.of(each.subject, each.tampered, each.subject.place, tissue, ends)
        others = [
            _Sums.of(each.subject, one, place, tissue, whole if tissue == "soft" else ends)
            for place, one in each.healthy
        ]
        known = [one for one in others if one is not None]
        measured.append([math.nan] * 5 if here is None or not known else here.against(known))
    groups = [each.subject.group for each in compared]
    table = np.array(measured)
    known = np.isfinite(table[:, 0])
    density, healthy, attribution, energy = geometric_means(table[:, :4], groups)
    return ZoneRatio(
        kind=kind,
        tissue=tissue,
        zone=name,
        places=int(known.sum()),
        scans=len({group for group, is_known in zip(groups, known, strict=True) if is_known}),
        density=density,
        healthy_density=healthy,
        attribution=attribution,
        energy=energy,
        extra=means(table[:, 4], groups)[0],
    )


@dataclass(frozen=True)
class _Sums:
    """Means over one tissue in one zone of one window."""

    absolute: float
    net: float
    energy: float
    window_absolute: float
    window_score: float

    @classmethod
    def of(
        cls, subject: Subject, one: Attribution, place: Place, tissue: str, ends: tuple[float, float]
    ) -> _Sums | None:
        """Take the means; None where the zone holds too little of the tissue."""
        away = offset_mm(subject, place)
        chosen = one.window & subject.tissue(tissue) & (away >= ends[0]) & (away < ends[1])
        if chosen.sum() * subject.spacing_mm[0] * subject.spacing_mm[1] < _LEAST_MM2:
            return None
        return cls(
            absolute=float(np.abs(one.values[chosen]).mean()),
            net=float(one.values[chosen].mean()),
            energy=float(one.energy[chosen].mean()),
            window_absolute=float(np.abs(one.values[one.window]).mean()),
            window_score=one.score - one.baseline,
        )

    def against(self, others: Sequence[_Sums]) -> list[float]:
        """Return log density, log healthy density, log ratios of attribution and energy, and what is extra."""
        absolute, net, energy, whole, score = np.mean([list(vars(one).values()) for one in others], axis=0)
        return [
            math.log(self.absolute / self.window_absolute),
            math.log(absolute / whole),
            math.log(self.absolute / absolute),
            math.log(self.energy / energy),
            (self.net - net) / score,
        ]
