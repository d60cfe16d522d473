"""A detector measured on real CT-GAN slices: what is counted, and how it is told."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tamperscan.bench.labels import FOLDS, KINDS, Kind
from tamperscan.bench.metrics import Estimate, auc_estimate, mean_estimate, share_estimate, threshold_at
from tamperscan.bench.places import HIT_MM
from tamperscan.bench.slices import SliceOutcome, TamperedOutcome
from tamperscan.detect.calibration import Calibration

FALSE_ALARMS = (0.01, 0.05)
FINDING_P = 0.05
HALVES = ("all", "development", "reserved")
FOLD_NAMES = tuple(f"fold {number}" for number in range(FOLDS))


@dataclass(frozen=True)
class Threshold:
    """A threshold on slice scores, and what it does to authentic slices of the test.

    Attributes
    ----------
    false_alarms
        The rate that was aimed at on the calibration patients.
    score
        Slices above it are alarms.
    observed
        Share of authentic test slices above it, patients counting alike.
    patients, patients_above
        Test patients, and those with any slice above it.
    """

    false_alarms: float
    score: float
    observed: Estimate
    patients: int
    patients_above: int


@dataclass(frozen=True)
class GroupResult:
    """What a detector does on one kind of tampering, in one part of the scans.

    Attributes
    ----------
    kind
        ``"FB"`` or ``"FM"``.
    half
        ``"all"``, ``"development"``, ``"reserved"`` or one of `FOLD_NAMES`.
    slices, scans, measured
        Tampered slices, the scans that they are of, and the slices that had a score.
    auc
        Per slice, place not given.
    true_positives
        Share of the slices above each threshold, in the order of `FALSE_ALARMS`.
    localised, localised_any
        Share of the slices whose peak lies within 16 mm of the label, or of any place of the scan whose tampering
        reaches the slice.
    within
        Mean share of a slice's untampered places with less suspicion than the tampered one.
    control
        Like ``auc``, from the untampered rest of the tampered slices alone.
    placed, reference
        AUC with the place given, by the detector and by the published score.
    unplaced
        Tampered places that the detector could not score; they count as the least suspicious.
    flagged_slices, flagged_scans
        Share of slices whose top finding has p <= 0.05, and of scans with such a slice.
    verdicts, signs
        How many slices got which verdict, and which sign their top finding has.
    """

    kind: Kind
    half: str
    slices: int
    scans: int
    measured: int
    auc: Estimate
    true_positives: tuple[Estimate, ...]
    localised: Estimate
    localised_any: Estimate
    within: Estimate
    control: Estimate
    placed: Estimate
    reference: Estimate
    unplaced: int
    flagged_slices: Estimate
    flagged_scans: Estimate
    verdicts: Mapping[str, int]
    signs: Mapping[str, int]


@dataclass(frozen=True)
class CtganResult:
    """A detector's results on CT-GAN slices.

    Attributes
    ----------
    detector, reference, weights_sha256
        Names of what was measured, and the hash of the detector's weights.
    calibration_patients
        Authentic patients behind the thresholds; None where the detector is not calibrated.
    thresholds
        In the order of `FALSE_ALARMS`; empty where the detector is not calibrated.
    authentic_patients, authentic_slices, authentic_measured
        What the negatives are, and the slices that had a score.
    authentic_verdicts, authentic_signs
        How many authentic slices got which verdict, and which sign their top finding has.
    authentic_flagged
        Share of authentic slices whose top finding has p <= 0.05, patients counting alike.
    not_held_out
        Authentic test scans that the detector's card says were trained or calibrated on: there should be none.
    left_out
        Why slices, tampered or authentic, have no score, and how many.
    groups
        Results by kind and half.
    """

    detector: str
    reference: str
    weights_sha256: str
    calibration_patients: int | None
    thresholds: tuple[Threshold, ...]
    authentic_patients: int
    authentic_slices: int
    authentic_measured: int
    authentic_verdicts: Mapping[str, int]
    authentic_signs: Mapping[str, int]
    authentic_flagged: Estimate
    not_held_out: tuple[str, ...]
    left_out: Mapping[str, int]
    groups: tuple[GroupResult, ...]


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes
    ----------
    detector, reference, weights_sha256
        Names, and the hash of the detector's weights.
    calibration
        The detector's authentic scores, None if it has none.
    not_held_out
        Authentic test scans that it was made of.
    """

    detector: str
    reference: str
    weights_sha256: str
    calibration: Calibration | None
    not_held_out: tuple[str, ...] = ()


def evaluate(
    subject: Subject,
    tampered: Sequence[TamperedOutcome],
    authentic: Sequence[SliceOutcome],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> CtganResult:
    """Measure a detector by what it said of tampered and authentic slices.

    Parameters
    ----------
    subject
        What is measured.
    tampered, authentic
        Outcomes of the slices; of authentic ones at least one must have a score.
    report
        Called with (groups done, groups in all).
    """
    negatives = [outcome for outcome in authentic if outcome.measured]
    thresholds = _thresholds(subject.calibration, negatives)
    wanted = [(kind, half) for half in (*HALVES, *FOLD_NAMES) for kind in KINDS]
    groups = []
    for done, (kind, half) in enumerate(wanted, start=1):
        chosen = [outcome for outcome in tampered if outcome.label.kind == kind and _in_half(outcome, half)]
        if chosen:
            groups.append(_group(kind, half, chosen, negatives, thresholds))
        report(done, len(wanted))
    return CtganResult(
        detector=subject.detector,
        reference=subject.reference,
        weights_sha256=subject.weights_sha256,
        calibration_patients=None if subject.calibration is None else len(subject.calibration.scan_scores),
        thresholds=thresholds,
        authentic_patients=len({outcome.group for outcome in negatives}),
        authentic_slices=len(authentic),
        authentic_measured=len(negatives),
        authentic_verdicts=_counted(outcome.verdict for outcome in authentic),
        authentic_signs=_counted(outcome.sign for outcome in negatives),
        authentic_flagged=share_estimate([_flagged(one) for one in negatives], _groups(negatives), alike=True),
        not_held_out=subject.not_held_out,
        left_out=_counted(one.reason for one in (*authentic, *(other.slice for other in tampered)) if one.reason),
        groups=tuple(groups),
    )


def _in_half(outcome: TamperedOutcome, half: str) -> bool:
    if half in FOLD_NAMES:
        return outcome.label.fold == FOLD_NAMES.index(half)
    return half == "all" or outcome.label.development == (half == "development")


def _thresholds(calibration: Calibration | None, negatives: Sequence[SliceOutcome]) -> tuple[Threshold, ...]:
    if calibration is None:
        return ()
    return tuple(_threshold(calibration, rate, negatives) for rate in FALSE_ALARMS)


def _threshold(calibration: Calibration, false_alarms: float, negatives: Sequence[SliceOutcome]) -> Threshold:
    score = threshold_at(calibration.slice_scores, false_alarms, calibration.slice_weights)
    above = [outcome.score > score for outcome in negatives]
    groups = _groups(negatives)
    return Threshold(
        false_alarms=false_alarms,
        score=score,
        observed=share_estimate(above, groups, alike=True),
        patients=len(set(groups)),
        patients_above=len({group for group, alarm in zip(groups, above, strict=True) if alarm}),
    )


def _group(
    kind: Kind,
    half: str,
    tampered: Sequence[TamperedOutcome],
    negatives: Sequence[SliceOutcome],
    thresholds: Sequence[Threshold],
) -> GroupResult:
    measured = [outcome for outcome in tampered if outcome.slice.measured]
    slices, everything = [outcome.slice for outcome in measured], [outcome.slice for outcome in tampered]
    compare, share = partial(_compare, negatives=negatives), partial(_share, slices)
    scans = {one.group: any(_flagged(other) for other in slices if other.group == one.group) for one in slices}
    return GroupResult(
        kind=kind,
        half=half,
        slices=len(tampered),
        scans=len({one.group for one in everything}),
        measured=len(measured),
        auc=compare(slices, lambda one: one.score),
        true_positives=tuple(share([one.score > limit.score for one in slices]) for limit in thresholds),
        localised=share([outcome.peak_mm <= HIT_MM for outcome in measured]),
        localised_any=share([outcome.any_mm <= HIT_MM for outcome in measured]),
        within=mean_estimate([outcome.within for outcome in measured], _groups(slices)),
        control=compare(slices, lambda one: one.rest),
        placed=compare(everything, lambda one: one.placed),
        reference=compare(everything, lambda one: one.reference),
        unplaced=sum(math.isnan(one.placed) for one in everything),
        flagged_slices=share([_flagged(one) for one in slices]),
        flagged_scans=share_estimate(list(scans.values()), list(scans)),
        verdicts=_counted(one.verdict for one in everything),
        signs=_counted(one.sign for one in slices),
    )


def _compare(
    positives: Sequence[SliceOutcome], value: Callable[[SliceOutcome], float], *, negatives: Sequence[SliceOutcome]
) -> Estimate:
    """AUC of one value of the outcomes; what could not be measured at a place is the least suspicious."""
    return auc_estimate(
        [_or_least(value(one)) for one in positives],
        [_or_least(value(one)) for one in negatives],
        _groups(positives),
        _groups(negatives),
    )


def _or_least(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _share(slices: Sequence[SliceOutcome], hits: Sequence[bool]) -> Estimate:
    return share_estimate(hits, _groups(slices))


def _groups(outcomes: Iterable[SliceOutcome]) -> list[str]:
    return [outcome.group for outcome in outcomes]


def _flagged(outcome: SliceOutcome) -> bool:
    return outcome.p_value is not None and outcome.p_value <= FINDING_P


def _counted(values: Iterable[str | None]) -> dict[str, int]:
    return dict(Counter("no finding" if value is None else value for value in values).most_common())
