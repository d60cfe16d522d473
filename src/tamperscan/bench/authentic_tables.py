"""Tables of false alarms: observed against nominal, by scanner, and scan by scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tamperscan.bench.authentic import AuthenticResult, FalseAlarms, ScanOutcome, exact_binomial
from tamperscan.bench.tables import estimate, number, paragraph, table

_SHOWN_LEVELS = (0.05, 0.1, 0.2)


def alarms_table(result: AuthenticResult) -> str:
    """Tell how many scans are alarms at each nominal rate."""
    head = ["p-value at most", "alarms", "share of scans", "nominal within", "share, patients counting alike"]
    rows = [
        [str(one.level), f"{one.alarms} of {one.scans}", estimate(one.by_scan), _within(one), estimate(one.by_patient)]
        for one in result.false_alarms
    ]
    words = paragraph(
        "By scan with the exact binomial interval (Clopper and Pearson) as if all scans were independent, which those",
        "of a patient are not; by patient with a bootstrap interval. The p-values can't be smaller than",
        f"1/{result.calibration_patients + 1} = {1 / (result.calibration_patients + 1):.2g}, so that the nominal rates",
        "are upper bounds.",
    )
    return f"{table(head, rows)}\n\n{words}"


def scanners_table(outcomes: Sequence[ScanOutcome]) -> str:
    """Tell the same for each scanner and measured kernel."""
    head = [
        "scanner",
        "kernel (measured)",
        "scans (patients)",
        "abstained",
        *(f"p ≤ {level}" for level in _SHOWN_LEVELS),
    ]
    groups: dict[tuple[str, str], list[ScanOutcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.scanner, outcome.measured_kernel), []).append(outcome)
    rows = [[*key, *_counts(groups[key])] for key in sorted(groups)]
    return table(head, rows)


def scans_table(outcomes: Iterable[ScanOutcome]) -> str:
    """List every scan, the smallest p-value first."""
    head = ["scan", "scanner", "kernel", "slices", "slice mm", "verdict", "p-value"]
    rows = [
        [
            outcome.name,
            outcome.scanner,
            f"{outcome.kernel} ({outcome.measured_kernel})".strip(),
            str(outcome.slices),
            number(outcome.slice_mm),
            outcome.verdict,
            "–" if outcome.p_value is None else number(outcome.p_value, 3),
        ]
        for outcome in sorted(outcomes, key=lambda outcome: outcome.p_value if outcome.p_value is not None else 2.0)
    ]
    return table(head, rows)


def _within(alarms: FalseAlarms) -> str:
    return "yes" if alarms.by_scan.low <= alarms.level <= alarms.by_scan.high else "no"


def _counts(outcomes: Sequence[ScanOutcome]) -> list[str]:
    judged = [outcome.p_value for outcome in outcomes if outcome.p_value is not None]
    patients = len({outcome.patient for outcome in outcomes})
    shares = [exact_binomial(sum(p <= level for p in judged), len(judged)) for level in _SHOWN_LEVELS]
    return [f"{len(outcomes)} ({patients})", str(len(outcomes) - len(judged)), *map(estimate, shares)]
