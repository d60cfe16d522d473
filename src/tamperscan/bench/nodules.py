"""The paper's protocol with real nodules: the place is told; fake ones against real ones, removals against health."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tamperscan.bench.labels import read_labels
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.nodules_marks import read_marks
from tamperscan.bench.nodules_places import HELD_OUT, SEEN, SpotKind, authentic_spots, tampered_spots
from tamperscan.bench.nodules_scoring import OURS, PUBLISHED, Scored, score_spots, scorers
from tamperscan.bench.protocols.resampling import Draws, least
from tamperscan.bench.subjects import CTGAN_FOLDER, TEST_PART, load_headed, made_of, name_with_head
from tamperscan.detect.training import read_split
from tamperscan.errors import BenchError, ScanError

LARGEST_MM: Final = 35.0
"""What is larger is a mass, not a nodule; CT-GAN's are smaller."""

HALVES: Final = ("all", "development", "reserved")

HELD_OUT_NODULES: Final = 'real nodules, parts "test" and "calibrate"'
HEALTHY: Final = 'healthy places, parts "test" and "calibrate"'

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class NoduleRequest:
    """What to measure, and on what.

    Attributes
    ----------
    data
        Folder with ``ct/`` and ``ctgan/`` in it.
    split
        JSON file of part to globs below ``ct/``.
    marks
        JSON file of nodules that readers have not marked.
    out
        Folder that remembers scores.
    detector, head
        A packaged detector or a folder, and which of its heads; None for its own choice.
    threads
        CPU threads; None for all.
    step
        Called with the name of each part of the work; gives what is told its progress.
    on_error
        Called with what can't be read.
    """

    data: Path
    split: Path
    marks: Path
    out: Path
    detector: str = "ct"
    head: str | None = None
    threads: int | None = None
    step: Step = lambda name: lambda done, total: None
    on_error: Callable[[ScanError], None] = lambda error: None


@dataclass(frozen=True)
class Comparison:
    """Tampered places against authentic ones.

    Attributes
    ----------
    kind
        ``"injected"`` or ``"removed"``.
    half
        Which of CT-GAN's scans.
    against
        What the authentic places are, in words.
    places, scans
        Tampered places, and the scans that they are of.
    others, patients
        Authentic places, and the patients that they are of.
    auc
        By detector: the chance that a tampered place outscores an authentic one; scans and patients count alike.
    relative
        The same of the scores less those of healthy places of the same slice.
    """

    kind: SpotKind
    half: str
    against: str
    places: int
    scans: int
    others: int
    patients: int
    auc: Mapping[str, Estimate]
    relative: Mapping[str, Estimate]


@dataclass(frozen=True)
class NoduleResult:
    """What came of the protocol.

    Attributes
    ----------
    detector, weights_sha256
        What was measured.
    comparisons
        By kind and half.
    unscored
        Places that a detector could not score, by detector and kind of place: tampered ones count as the least
        suspicious, authentic ones are left out.
    not_held_out
        Authentic scans of the part "test" that the detector's card names: there should be none.
    spots
        What was said of each place.
    """

    detector: str
    weights_sha256: str
    comparisons: tuple[Comparison, ...]
    unscored: Mapping[str, Mapping[str, int]]
    not_held_out: tuple[str, ...]
    spots: tuple[Scored, ...]


def run_nodules(request: NoduleRequest) -> NoduleResult:
    """Measure a detector and the published score on told places.

    Raises
    ------
    ScanError, WeightsError, TrainingError
        If the slices, the marks, the detector or the split can't be read.
    BenchError
        If no real nodule was found.
    """
    labels, marks = read_labels(request.data / CTGAN_FOLDER), read_marks(request.marks)
    detector = load_headed(request.detector, request.head, threads=request.threads)
    by = scorers(detector, request.detector, request.out, threads=request.threads)
    tampered = tampered_spots(request.data / CTGAN_FOLDER, labels, request.step("Tampered places"))
    found = list(score_spots(tampered, by))
    patients, names = [glob for part in (*HELD_OUT, SEEN) for glob in read_split(request.split, part)], set[str]()
    told = request.step("Authentic scans")

    def read(patient: str, part: str, name: str) -> None:
        told(patients.index(patient), len(patients))
        if part == TEST_PART:
            names.add(name)

    authentic = authentic_spots(request.data, request.split, marks, on_error=request.on_error, report=read)
    found += score_spots(authentic, by)
    if not any(one.kind == "nodule" for one in found):
        raise BenchError(f"{request.data}: holds no real nodule. Give the split and the list of nodules of this data.")
    return NoduleResult(
        detector=name_with_head(detector),
        weights_sha256=detector.weights.sha256,
        comparisons=tuple(compare(found)),
        unscored=unscored(found),
        not_held_out=tuple(sorted(made_of(detector.card) & names)),
        spots=tuple(found),
    )


def compare(found: Sequence[Scored]) -> Iterator[Comparison]:
    """Measure injected nodules against each choice of real ones, and removals against healthy lung.

    Parameters
    ----------
    found
        What was said of every place.
    """
    draws = Draws(one.group for one in found)
    nodules, healthy = _of(found, "nodule"), _of(found, "healthy")
    for half in HALVES:
        injected = _in_half(_of(found, "injected"), half)
        for against, others in _choices(nodules).items():
            # Of the halves only the main comparison is of interest: the others stand on too few.
            if half == HALVES[0] or against == HELD_OUT_NODULES:
                yield _comparison(draws, "injected", half, against, injected, others)
        yield _comparison(draws, "removed", half, HEALTHY, _in_half(_of(found, "removed"), half), healthy)


def unscored(found: Sequence[Scored]) -> dict[str, dict[str, int]]:
    """Count the places that a detector could not score, by detector and kind."""
    names, kinds = (OURS, PUBLISHED), dict.fromkeys(one.kind for one in found)
    return {
        name: {kind: sum(math.isnan(one.scores[name]) for one in _of(found, kind)) for kind in kinds} for name in names
    }


def _choices(nodules: Sequence[Scored]) -> dict[str, list[Scored]]:
    """Return the real nodules that injected ones are compared with, by what they are in words."""
    held_out = [one for one in nodules if one.part in HELD_OUT]
    return {
        HELD_OUT_NODULES: held_out,
        "of these, marked by readers": [one for one in held_out if one.marked],
        "of these, found by eye": [one for one in held_out if not one.marked],
        "of these, beyond doubt": [one for one in held_out if one.sure],
        f"of these, at most {LARGEST_MM:g} mm": [one for one in held_out if one.diameter_mm <= LARGEST_MM],
        'of these, part "test"': [one for one in held_out if one.part == TEST_PART],
        'real nodules, part "train"': [one for one in nodules if one.part == SEEN],
    }


def _comparison(
    draws: Draws, kind: SpotKind, half: str, against: str, tampered: Sequence[Scored], others: Sequence[Scored]
) -> Comparison:
    return Comparison(
        kind=kind,
        half=half,
        against=against,
        places=len(tampered),
        scans=len({one.group for one in tampered}),
        others=len(others),
        patients=len({one.group for one in others}),
        auc={name: _auc(draws, tampered, others, name, "scores") for name in (OURS, PUBLISHED)},
        relative={name: _auc(draws, tampered, others, name, "relative") for name in (OURS, PUBLISHED)},
    )


def _auc(
    draws: Draws, tampered: Sequence[Scored], others: Sequence[Scored], name: str, which: Literal["scores", "relative"]
) -> Estimate:
    # An authentic place without a score tells nothing; a tampered one was missed.
    known = [one for one in others if math.isfinite(getattr(one, which)[name])]
    positives, negatives = (least(getattr(one, which)[name] for one in side) for side in (tampered, known))
    return draws.auc(positives, negatives, *([one.group for one in side] for side in (tampered, known))).estimate()


def _of(found: Sequence[Scored], kind: str) -> list[Scored]:
    return [one for one in found if one.kind == kind]


def _in_half(found: Sequence[Scored], half: str) -> list[Scored]:
    return [one for one in found if half in ("all", one.part)]
