"""From what came of laundered slices to figures, one set a treatment."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tamperscan.bench.ctgan import FALSE_ALARMS
from tamperscan.bench.labels import KINDS, Kind
from tamperscan.bench.metrics import Estimate, auc_estimate, binomial, share_estimate, threshold_at
from tamperscan.bench.robustness.measuring import Outcome
from tamperscan.bench.robustness.subjects import AUTHENTIC
from tamperscan.bench.robustness.treatments import Treatment
from tamperscan.detect.calibration import Calibration


@dataclass(frozen=True)
class KindResult:
    """What a treatment leaves of the detection of one kind of tampering.

    Attributes
    ----------
    slices, measured
        Slices that were treated, and those of them that had a score.
    auc
        Per slice, place not given, against authentic slices with the same treatment.
    true_positives
        Share of the measured slices above each frozen threshold, in the order of `FALSE_ALARMS`.
    """

    slices: int
    measured: int
    auc: Estimate
    true_positives: tuple[Estimate, ...]


@dataclass(frozen=True)
class VerdictResult:
    """What the detector says of slices after a treatment, authentic or tampered ones.

    Attributes
    ----------
    slices
        How many.
    clear, suspicious, abstained
        Shares; each slice counts alike.
    recognised
        Share in which global processing was recognised.
    traces
        How often which.
    mean_score
        Of those that had a score; NaN if none had.
    above
        How many lie above each frozen threshold.
    """

    slices: int
    clear: Estimate
    suspicious: Estimate
    abstained: Estimate
    recognised: Estimate
    traces: Mapping[str, int]
    mean_score: float
    above: tuple[int, ...]


@dataclass(frozen=True)
class TreatmentResult:
    """What a treatment does.

    Attributes
    ----------
    treatment, words, place_only
        Which.
    kinds
        By kind of tampering; without a kind of which there is no slice.
    authentic, authentic_measured, patients
        Authentic slices that were treated, those that had a score, and their patients.
    false_alarms
        Share of authentic slices above each frozen threshold, patients counting alike.
    verdicts
        Of ``"authentic"`` and of ``"tampered"`` slices.
    problems
        Why slices could not be treated, and how many.
    """

    treatment: str
    words: str
    place_only: bool
    kinds: Mapping[Kind, KindResult]
    authentic: int
    authentic_measured: int
    patients: int
    false_alarms: tuple[Estimate, ...]
    verdicts: Mapping[str, VerdictResult]
    problems: Mapping[str, int]


def frozen_thresholds(calibration: Calibration) -> tuple[float, ...]:
    """Return the slice scores that the calibration's authentic slices exceed at the rates `FALSE_ALARMS`."""
    return tuple(threshold_at(calibration.slice_scores, rate, calibration.slice_weights) for rate in FALSE_ALARMS)


def treatment_result(treatment: Treatment, outcomes: Sequence[Outcome], thresholds: Sequence[float]) -> TreatmentResult:
    """Sum up a treatment.

    Parameters
    ----------
    treatment
        Which.
    outcomes
        Of its slices, tampered and authentic.
    thresholds
        Frozen ones, see `frozen_thresholds`.
    """
    treated = [each for each in outcomes if not each.problem]
    authentic = [each for each in treated if each.kind == AUTHENTIC]
    negatives = [each for each in authentic if each.score is not None]
    tampered = {kind: [each for each in treated if each.kind == kind] for kind in KINDS}
    everything = [each for some in tampered.values() for each in some]
    return TreatmentResult(
        treatment=treatment.name,
        words=treatment.words,
        place_only=treatment.place_only,
        kinds={kind: _kind(some, negatives, thresholds) for kind, some in tampered.items() if some},
        authentic=len(authentic),
        authentic_measured=len(negatives),
        patients=len({each.group for each in negatives}),
        false_alarms=tuple(
            share_estimate(_above(negatives, one), _groups(negatives), alike=True) for one in thresholds
        ),
        verdicts={
            name: _verdicts(some, thresholds)
            for name, some in ((AUTHENTIC, authentic), ("tampered", everything))
            if some
        },
        problems=dict(Counter(each.problem for each in outcomes if each.problem).most_common()),
    )


def _kind(slices: Sequence[Outcome], negatives: Sequence[Outcome], thresholds: Sequence[float]) -> KindResult:
    measured = [each for each in slices if each.score is not None]
    return KindResult(
        slices=len(slices),
        measured=len(measured),
        auc=auc_estimate(_scores(measured), _scores(negatives), _groups(measured), _groups(negatives)),
        true_positives=tuple(share_estimate(_above(measured, one), _groups(measured)) for one in thresholds),
    )


def _verdicts(slices: Sequence[Outcome], thresholds: Sequence[float]) -> VerdictResult:
    groups, scores = _groups(slices), _scores(slices)
    shares = {
        verdict: share_estimate([each.verdict == verdict for each in slices], groups)
        for verdict in ("clear", "suspicious", "abstained")
    }
    return VerdictResult(
        slices=len(slices),
        recognised=share_estimate([bool(each.traces) for each in slices], groups),
        traces=dict(Counter(name for each in slices for name in each.traces).most_common()),
        mean_score=sum(scores) / len(scores) if scores else math.nan,
        above=tuple(sum(score > one for score in scores) for one in thresholds),
        **shares,
    )


def share_of_scans(recognised: Mapping[str, bool]) -> Estimate:
    """Return the share of scans in which something was recognised, with the binomial interval of so many scans."""
    return binomial(sum(recognised.values()), len(recognised))


def _scores(outcomes: Sequence[Outcome]) -> list[float]:
    return [each.score for each in outcomes if each.score is not None]


def _above(outcomes: Sequence[Outcome], threshold: float) -> list[bool]:
    return [score > threshold for score in _scores(outcomes)]


def _groups(outcomes: Sequence[Outcome]) -> list[str]:
    return [each.group for each in outcomes]
