"""Made-up cases and scores, of which the right figures are known by hand."""

from __future__ import annotations

import math
from pathlib import Path

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.protocols.evidence import CaseFacts, Evidence
from tamperscan.bench.scores import CaseScore, Peak, SliceScore, TargetScore

KINDS = {"inject": "injected", "remove": "removed"}
VOLUME = CaseFacts((20, 100, 100), (2.0, 1.0, 1.0))
SINGLE = CaseFacts((1, 100, 100), (5.0, 1.0, 1.0))
PLACE = (50, 50)
AWAY = (10, 10)


def tampered(name, group, task="remove", generator="gan", scanner="", index=10):
    target = Target(index, *PLACE, KINDS[task])
    return Case(name, group, "CT", generator, task, Path(name), (target,), scanner=scanner)


def authentic(name, group, targets=(), scanner=""):
    return Case(name, group, "CT", AUTHENTIC, None, Path(name), tuple(targets), scanner=scanner)


def nodule(index=3):
    return Target(index, 20, 20, "nodule")


def healthy(index=3):
    return Target(index, 30, 30, "healthy")


def sliced(index, score, *, rest=math.nan, at=None, tampered=False, within=math.nan):
    peaks = () if at is None else (Peak(index, *at, score),)
    return SliceScore(index, score, rest, peaks, within, tampered)


def scored(case, *slices, places=(), pixel_auc=math.nan):
    """Score a case; ``places`` are scores of its targets, in their order."""
    targets = tuple(TargetScore(target, score) for target, score in zip(case.targets, places, strict=False))
    return CaseScore(case.name, tuple(slices), targets, pixel_auc)


def evidence(cases, scores, *, calibration=(), facts=None, ours="ours", seen_scanners=()):
    """Join cases and ``scores``: contender to list of case scores."""
    known = {case.name: VOLUME for case in (*cases, *calibration)} | (facts or {})
    by_name = {contender: {one.case: one for one in each} for contender, each in scores.items()}
    return Evidence(tuple(cases), tuple(calibration), known, by_name, ours, frozenset(seen_scanners))
