"""What a detector finds that learned from given slices: typicality and its calibration, with forgeries or without."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.labels import KINDS
from tamperscan.bench.metrics import Estimate, bootstrap, equal_weights, share_above, threshold_at, wins
from tamperscan.bench.poisoning_measuring import AUTHENTIC, CTGAN, StudySlice
from tamperscan.detect.calibrating import Fits, score_patients
from tamperscan.detect.heads import Head
from tamperscan.detect.measured import MeasuredScan, scores_of
from tamperscan.detect.robust_calibration import ScoredScan, SetAside, calibrate_robustly, calibrate_scores
from tamperscan.detect.typicality import Typicality
from tamperscan.errors import BenchError

FALSE_ALARMS: Final = 0.05
TOO_FEW: Final = "Too few slices could be measured. Give the folder of real scans with --data."

Array = NDArray[np.float64]
Patients = Mapping[str, Sequence[MeasuredScan]]


@dataclass(frozen=True)
class Target:
    """Tampered slices that are looked for.

    Attributes
    ----------
    name
        What they are.
    slices
        Which.
    """

    name: str
    slices: tuple[StudySlice, ...]


@dataclass(frozen=True)
class PoisonRow:
    """What a detector finds that learned from so many forged slices.

    Attributes
    ----------
    share, forged
        Share of forged slices, and how many these are.
    vetted
        Whether outlying patients were set aside.
    auc, change
        By target: the AUC per slice, place not given, and what it is less than without forged slices.
    found
        By target: mean share found at the threshold of `FALSE_ALARMS` in the calibration.
    alarms
        Mean share of held-out authentic slices above that threshold.
    aside, caught
        Mean number of patients set aside, and how many of them had a forged slice.
    """

    share: float
    forged: int
    vetted: bool
    auc: Mapping[str, Estimate]
    change: Mapping[str, Estimate]
    found: Mapping[str, float]
    alarms: float
    aside: float
    caught: float


@dataclass(frozen=True, eq=False)
class Learned:
    """What one draw led to.

    Attributes
    ----------
    scores
        By target: the highest suspicion of each slice.
    negatives
        That of the held-out authentic slices.
    threshold
        Of `FALSE_ALARMS` in the calibration.
    aside, caught
        Patients set aside, and how many of them had a forged slice.
    """

    scores: Mapping[str, Array]
    negatives: Array
    threshold: float
    aside: int
    caught: int


class LearningStudy:
    """The slices by what they are for.

    Parameters
    ----------
    found
        As one network measured them.

    Raises
    ------
    BenchError
        If there are too few slices.
    """

    def __init__(self, found: Sequence[StudySlice]) -> None:
        self.learned = [each for each in found if not each.held_out and each.source == AUTHENTIC]
        self.held_out = [each for each in found if each.held_out and each.source == AUTHENTIC]
        self.forged: dict[str, list[StudySlice]] = {}
        for each in found:
            if not each.held_out and each.source != AUTHENTIC:
                self.forged.setdefault(each.of, []).append(each)
        if len(self.learned) < 10 or not self.held_out:
            raise BenchError(TOO_FEW)
        self.targets = _targets(found)
        self._loaded: dict[str, MeasuredScan] = {}

    def learn(self, count: int, draw: int) -> dict[bool, Learned]:
        """Learn with so many slices forged, without and with vetting."""
        rng = np.random.default_rng((count, draw))
        able = [each for each in self.learned if each.of in self.forged]
        chosen = {able[int(place)].of for place in rng.permutation(len(able))[:count]}
        patients: dict[str, list[MeasuredScan]] = {}
        poisoned: set[str] = set()
        for each in self.learned:
            if each.of in chosen:
                others = self.forged[each.of]
                each = others[int(rng.integers(len(others)))]
                poisoned.add(each.patient)
            patients.setdefault(each.patient, []).append(self._load(each))
        fits = Fits(patients)
        first: dict[str, list[ScoredScan]] = {}

        def score(kept: Sequence[str]) -> Mapping[str, Sequence[ScoredScan]]:
            scored = score_patients(patients, kept, lambda _, typicality: Head("typicality", typicality), fits=fits)
            if not first:
                first.update(scored)
            return scored

        calibration, aside = calibrate_robustly(list(patients), score)
        plain = calibrate_scores(first)
        return {
            False: self._look(fits.on(patients), plain.slice_scores, plain.slice_weights, (), poisoned),
            True: self._look(
                fits.on(name for name in patients if name not in {each.patient for each in aside}),
                calibration.slice_scores,
                calibration.slice_weights,
                aside,
                poisoned,
            ),
        }

    def row(
        self, share: float, count: int, vetted: bool, learned: Sequence[Learned], clean: Sequence[Learned]
    ) -> PoisonRow:
        """Put the draws of a share together."""
        auc, change, found = {}, {}, {}
        for target in self.targets:
            tables = [_table(each, target.name) for each in learned]
            before = _table(clean[0], target.name)
            groups = [each.patient for each in target.slices], [each.patient for each in self.held_out]
            auc[target.name] = _estimate(np.mean(tables, axis=0), *groups)
            change[target.name] = _estimate(np.mean(tables, axis=0) - before, *groups)
            hits = [share_above(each.scores[target.name], each.threshold) for each in learned]
            found[target.name] = float(np.mean(hits))
        theirs = equal_weights([each.patient for each in self.held_out])
        alarms = float(np.mean([share_above(each.negatives, each.threshold, theirs) for each in learned]))
        aside, caught = (float(np.mean([getattr(each, name) for each in learned])) for name in ("aside", "caught"))
        return PoisonRow(share, count, vetted, auc, change, found, alarms, aside, caught)

    def _look(
        self,
        typicality: Typicality,
        scores: Array,
        weights: Array,
        aside: Sequence[SetAside],
        poisoned: set[str],
    ) -> Learned:
        head = Head("typicality", typicality)
        return Learned(
            scores={target.name: self._scores(target.slices, head) for target in self.targets},
            negatives=self._scores(self.held_out, head),
            threshold=threshold_at(scores, FALSE_ALARMS, weights),
            aside=len(aside),
            caught=sum(each.patient in poisoned for each in aside),
        )

    def _scores(self, slices: Sequence[StudySlice], head: Head) -> Array:
        return np.array([float(np.nanmax(scores_of(self._load(each), head), initial=-math.inf)) for each in slices])

    def _load(self, each: StudySlice) -> MeasuredScan:
        key = str(each.stored.path)
        if key not in self._loaded:
            self._loaded[key] = each.stored.load()
        return self._loaded[key]


def _targets(found: Sequence[StudySlice]) -> list[Target]:
    wanted = {(CTGAN, "remove"): f"CT-GAN {KINDS['FB']}", (CTGAN, "inject"): f"CT-GAN {KINDS['FM']}"}
    forged = sorted({each.source for each in found if each.held_out and each.source not in (AUTHENTIC, CTGAN)})
    targets = [
        Target(name, tuple(each for each in found if (each.source, each.action) == key)) for key, name in wanted.items()
    ]
    targets += [
        Target(f"{source}, held out", tuple(each for each in found if each.held_out and each.source == source))
        for source in forged
    ]
    return [target for target in targets if target.slices]


def _table(learned: Learned, target: str) -> Array:
    return wins(learned.scores[target], learned.negatives)


def _estimate(table: Array, positives: Sequence[str], negatives: Sequence[str]) -> Estimate:
    """Average a table of ``[positive, negative]``, patients of authentic slices alike, with a bootstrap over groups."""
    theirs = equal_weights(negatives)

    def statistic(first: Array, second: Array) -> float:
        right = second * theirs
        total = float(first.sum() * right.sum())
        return float(first @ table @ right) / total if total > 0 else math.nan

    return bootstrap(statistic, positives, negatives)
