"""Scores of told places, and how they stand against healthy places of the same slice."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.nodules_places import LEAST_REFERENCES, Spot, SpotKind
from tamperscan.bench.places import Place
from tamperscan.bench.subjects import detector_key, load_reference
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.detector import Detector
from tamperscan.scan import Scan
from tamperscan.scan.volume import pixel_sha256

OURS: Final = "detector"
PUBLISHED: Final = "published"

SCORES_FILE: Final = "scores.jsonl"


@dataclass(frozen=True)
class Scored:
    """What the detectors say of a place.

    Attributes
    ----------
    name, group, kind, part, marked, sure, diameter_mm
        As of the `Spot`.
    scores
        By detector; NaN where it could not score the place.
    relative
        The same less the median of the slice's healthy places; NaN also where fewer than three of those have a score.
    """

    name: str
    group: str
    kind: SpotKind
    part: str
    marked: bool
    sure: bool
    diameter_mm: float
    scores: Mapping[str, float]
    relative: Mapping[str, float]


class Scorer:
    """Scores places with a detector, and remembers what it scored.

    Parameters
    ----------
    detector
        The detector.
    key
        Names it by everything that decides its scores.
    ledger
        Remembers scores by detector, slice and place.
    """

    def __init__(self, detector: Detector | BackInTime, key: str, ledger: Ledger) -> None:
        self._detector, self._key, self._ledger = detector, key, ledger

    def score(self, image: Scan, pixels: str, place: Place) -> float:
        """Score a place of a scan of one slice; NaN where the detector can't."""
        key = hash_of(self._key, pixels, image.spacing_mm, place)
        if key not in self._ledger:
            score = self._detector.score_patch(image, 0, *place)
            self._ledger.add(key, score if math.isfinite(score) else None)
        known = self._ledger[key]
        return math.nan if known is None else float(known)


def scorers(detector: Detector | BackInTime, name: str, out: Path, *, threads: int | None = None) -> dict[str, Scorer]:
    """Return what scores, by name: a detector, and the published score with the same weights."""
    ledger, reference = Ledger(out / SCORES_FILE), load_reference(name, threads=threads)
    return {
        OURS: Scorer(detector, detector_key(detector), ledger),
        PUBLISHED: Scorer(reference, detector_key(reference), ledger),
    }


def score_spots(spots: Iterable[Spot], by: Mapping[str, Scorer]) -> Iterator[Scored]:
    """Yield what the detectors say of places; no slice is kept."""
    for spot in spots:
        pixels = pixel_sha256(spot.image.voxels)
        scores = {name: scorer.score(spot.image, pixels, spot.place) for name, scorer in by.items()}
        levels = {name: _level(scorer, spot, pixels) for name, scorer in by.items()}
        relative = {name: scores[name] - levels[name] for name in by}
        yield Scored(
            spot.name, spot.group, spot.kind, spot.part, spot.marked, spot.sure, spot.diameter_mm, scores, relative
        )


def _level(scorer: Scorer, spot: Spot, pixels: str) -> float:
    """Return the median of a slice's healthy places, NaN where too few have a score."""
    scores = np.array([scorer.score(spot.image, pixels, place) for place in spot.references], dtype=np.float64)
    known = scores[np.isfinite(scores)]
    return float(np.median(known)) if known.size >= LEAST_REFERENCES else math.nan
