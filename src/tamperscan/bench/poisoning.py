"""Forged slices hidden among those that typicality and calibration learn from: what a detector still finds then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tamperscan.bench.poisoning_learning import TOO_FEW, Learned, LearningStudy, PoisonRow
from tamperscan.bench.poisoning_measuring import StudySlice
from tamperscan.errors import BenchError

SHARES: Final = (0.0, 0.01, 0.05, 0.10)
DRAWS: Final = 5
"""So often other slices are chosen to be forged."""


@dataclass(frozen=True)
class PoisoningResult:
    """The study's outcome.

    Attributes
    ----------
    weights_sha256
        Of the noise predictor.
    patients, slices
        That are learned from.
    held_out_patients, held_out
        Authentic patients and slices that are not.
    targets
        Number of tampered slices by target.
    draws
        How often slices were chosen.
    rows
        By share, without and with vetting.
    """

    weights_sha256: str
    patients: int
    slices: int
    held_out_patients: int
    held_out: int
    targets: Mapping[str, int]
    draws: int
    rows: tuple[PoisonRow, ...]


def study_poisoning(
    found: Sequence[StudySlice],
    weights_sha256: str,
    *,
    draws: int = DRAWS,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> PoisoningResult:
    """Learn from slices some of which were forged, and look for tampered ones.

    Parameters
    ----------
    found
        From `measure_slices`.
    weights_sha256
        Of the noise predictor.
    draws
        How often other slices are chosen.
    report
        Called with (detectors made, in all).

    Raises
    ------
    BenchError
        If there are too few slices.
    """
    study = LearningStudy(found)
    if not study.forged:
        raise BenchError(TOO_FEW)
    rows: list[PoisonRow] = []
    clean: dict[bool, list[Learned]] = {}
    total = 1 + draws * (len(SHARES) - 1)
    done = 0
    for share in SHARES:
        learned: dict[bool, list[Learned]] = {False: [], True: []}
        count = round(share * len(study.learned))
        for draw in range(draws if count else 1):
            for vetted, one in study.learn(count, draw).items():
                learned[vetted].append(one)
            done += 1
            report(done, total)
        clean = clean or learned
        rows += [study.row(share, count, vetted, learned[vetted], clean[vetted]) for vetted in (False, True)]
    return PoisoningResult(
        weights_sha256=weights_sha256,
        patients=len({each.patient for each in study.learned}),
        slices=len(study.learned),
        held_out_patients=len({each.patient for each in study.held_out}),
        held_out=len(study.held_out),
        targets={target.name: len(target.slices) for target in study.targets},
        draws=draws,
        rows=tuple(rows),
    )
