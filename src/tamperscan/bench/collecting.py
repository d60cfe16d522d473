"""From what all contenders measured to the evidence that the protocols are computed from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from tamperscan.bench.cases import Case
from tamperscan.bench.cuts import Cuts
from tamperscan.bench.gather import Gathered
from tamperscan.bench.grids import Grid
from tamperscan.bench.jobs import SLICES_FOLDER, Outcome, measurements
from tamperscan.bench.measuring import Measurements
from tamperscan.bench.protocols.evidence import CaseFacts, Evidence
from tamperscan.bench.scores import CaseScore
from tamperscan.bench.scoring import Scorer, Signs, learn_signs, places_by_group
from tamperscan.bench.signs import SIDES, Sides
from tamperscan.bench.stored import load_slice
from tamperscan.errors import BenchError

NAMES: Final[Mapping[Sides, str]] = {"up": "{}", "both": "{}, both sides"}
"""How a contender is called: as published, and where little energy is suspicious, too."""

_BOTH_SIDES: Final = NAMES["both"].format("")


def contender_of(name: str) -> str:
    """Return the contender that a reading of it is called by."""
    return name.removesuffix(_BOTH_SIDES)


@dataclass(frozen=True)
class Reading:
    """One contender's measurements, read in one way.

    Attributes
    ----------
    name
        As in tables.
    outcome
        The contender.
    scorer
        Makes scores and maps of suspicion.
    signs
        How energy becomes suspicion.
    """

    name: str
    outcome: Outcome
    scorer: Scorer
    signs: Signs


@dataclass(frozen=True)
class Collected:
    """All that was measured, scored.

    Attributes
    ----------
    evidence
        For the protocols.
    readings
        Of every contender and modality.
    failures
        Cases that a contender failed on: contender, case and reason.
    left_out
        Contenders whose measurements are of no use, with the reason.
    """

    evidence: Evidence
    readings: tuple[Reading, ...]
    failures: tuple[tuple[str, str, str], ...]
    left_out: tuple[tuple[Outcome, str], ...]


def collect(
    gathered: Gathered,
    cuts: Mapping[str, Cuts],
    outcomes: Sequence[Outcome],
    out: Path,
    ours: str,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Collected:
    """Score every case by every contender.

    Parameters
    ----------
    gathered
        The cases.
    cuts
        What was looked at of each, by name.
    outcomes
        Of the contenders; those with a problem are left out.
    out
        Folder of the run.
    ours
        Name of our contender.
    report
        Called with (contenders done, contenders in all).
    """
    avoided = places_by_group(gathered.cases)
    grid_of = _grids(out / SLICES_FOLDER)
    scores: dict[str, dict[str, CaseScore]] = {}
    readings: list[Reading] = []
    left_out = [(outcome, outcome.problem) for outcome in outcomes if outcome.problem]
    for done, outcome in enumerate(outcomes, start=1):
        cases = [case for case in (*gathered.cases, *gathered.calibration) if case.modality == outcome.modality]
        try:
            found = [] if outcome.problem else _read(outcome, cases, gathered, cuts, out)
        except BenchError as error:
            left_out.append((outcome, str(error)))
            found = []
        for name, measured, signs, sides in found:
            scorer = Scorer(measured, signs, sides, grid_of, avoided)
            scores.setdefault(name, {}).update({case.name: scorer.score(case, cuts[case.name]) for case in cases})
            readings.append(Reading(name, outcome, scorer, signs))
        report(done, len(outcomes))
    facts = {name: one.facts for name, one in cuts.items()}
    seen = gathered.authentic.seen_scanners
    evidence = Evidence(gathered.cases, gathered.calibration, facts, scores, ours, seen)
    return Collected(evidence, tuple(readings), tuple(_failures(scores, facts)), tuple(left_out))


def _read(
    outcome: Outcome, cases: Sequence[Case], gathered: Gathered, cuts: Mapping[str, Cuts], out: Path
) -> list[tuple[str, Measurements, Signs, Sides]]:
    """Open what a contender measured, and learn its signs; a finished map is read in one way alone."""
    measured = measurements(out, outcome.key)
    if outcome.finished:
        return [(outcome.name, measured, Signs(), "up")]
    signs = learn_signs([case for case in cases if case in gathered.calibration], cuts, measured)
    return [(NAMES[sides].format(outcome.name), measured, signs, sides) for sides in SIDES]


def _grids(folder: Path) -> Callable[[str], Grid]:
    """Return what gives the grid of a stored slice; each is read once, and its pixels are not kept."""

    @cache
    def grid(key: str) -> Grid:
        return load_slice(folder, key).grid

    return grid


def _failures(
    scores: Mapping[str, Mapping[str, CaseScore]], facts: Mapping[str, CaseFacts]
) -> Iterator[tuple[str, str, str]]:
    for name, told in scores.items():
        for score in told.values():
            if score.problem and facts[score.case].readable:
                yield name, score.case, score.problem
