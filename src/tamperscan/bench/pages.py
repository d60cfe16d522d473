"""The sections of the results page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tamperscan.bench.authentic import AuthenticResult, SeenEffect
from tamperscan.bench.authentic_tables import alarms_table, scanners_table, scans_table
from tamperscan.bench.ctgan import FALSE_ALARMS, FOLD_NAMES, HALVES, CtganResult, GroupResult, Threshold
from tamperscan.bench.document import Provenance, title
from tamperscan.bench.labels import FOLDS, KINDS
from tamperscan.bench.metrics import ROUNDS
from tamperscan.bench.tables import estimate, number, paragraph, per_cent, table

_HALF_HEADS = {
    "all": "All scans",
    "development": "Development half (looked at while the statistics were chosen)",
    "reserved": "Reserved half",
}


def ctgan_page(result: CtganResult, origin: Provenance, head: str | None = None) -> str:
    """Tell the results on CT-GAN slices; a head that was asked for is named in the title."""
    sections = [
        title("Real tampered scans: CT-GAN", head),
        _ctgan_head(result, origin),
        _reasons("Why slices, tampered and authentic together, have no score:", result.left_out),
        _honesty(),
        *(_half(result, half) for half in HALVES),
        "### Five folds",
        _folds(result),
        "### Place given, as in the paper",
        _placed(result),
        "### Thresholds and false alarms",
        _thresholds(result),
        "### What the measures are",
        _measures(),
    ]
    return "\n\n".join(section for section in sections if section)


def authentic_page(result: AuthenticResult, origin: Provenance, head: str | None = None) -> str:
    """Tell the false alarms on authentic scans; a head that was asked for is named in the title."""
    sections = [
        title("False alarms on authentic scans", head),
        _authentic_head(result, origin),
        _warning(result.not_held_out),
        alarms_table(result),
        "### By scanner",
        scanners_table(result.scans),
        "### Scan by scan",
        scans_table(result.scans),
        _reasons("Why it abstained:", Counter(outcome.reason for outcome in result.scans if outcome.reason)),
        _seen(result.seen) if result.seen else "",
    ]
    return "\n\n".join(section for section in sections if section)


def _ctgan_head(result: CtganResult, origin: Provenance) -> str:
    everything = [group for group in result.groups if group.half == "all"]
    tampered = ", ".join(f"{group.slices} slices of {group.scans} scans ({KINDS[group.kind]})" for group in everything)
    left_out = result.authentic_slices - result.authentic_measured
    return paragraph(
        origin.markdown(),
        f"Detector: {result.detector}, weights SHA-256 `{result.weights_sha256[:16]}`.",
        f"Tampered: {tampered}.",
        f"Authentic: {result.authentic_measured} slices of {result.authentic_patients} patients that nothing was"
        " trained or calibrated on; another",
        f"{left_out} could not be measured and are left out. Every slice is screened by itself.",
        f"In brackets: 95 % bootstrap intervals over scans and patients ({ROUNDS} resamples).",
        _warning(result.not_held_out),
    )


def _warning(not_held_out: Sequence[str]) -> str:
    if not not_held_out:
        return ""
    return f"**Not held out:** the detector's card names {', '.join(not_held_out)}; the figures flatter it."


def _reasons(head: str, reasons: Mapping[str, int]) -> str:
    return "\n".join([head, "", *(f"- {count} x {reason}" for reason, count in reasons.items())]) if reasons else ""


def _honesty() -> str:
    return paragraph(
        "No tampered slice was used in training, calibration or thresholds. The choice of statistics, however, was",
        "informed by looking at tampered slices: the first looks, with pilot networks, were at all of them, later ones",
        "at the development half only (scans whose name has an even SHA-256). There about 60 variants of typicality",
        "were compared, and a dozen ways to turn the self-forged head's odds into a score and to add the two; the",
        "simplest was taken, odds as they are and equal weights. So the reserved half is the less biased one, but not",
        "an untouched one.",
    )


def _half(result: CtganResult, half: str) -> str:
    groups = [group for group in result.groups if group.half == half]
    if not groups:
        return ""
    head = ["measure", *(f"{KINDS[group.kind]} ({group.kind})" for group in groups)]
    rows = [[name, *cells] for name, cells in _measured(groups, result.thresholds)]
    return f"### {_HALF_HEADS[half]}\n\n{table(head, rows)}"


def _measured(groups: Sequence[GroupResult], thresholds: Sequence[Threshold]) -> list[tuple[str, list[str]]]:
    rows = [
        ("slices (scans)", [f"{group.slices} ({group.scans})" for group in groups]),
        ("not measurable", [str(group.slices - group.measured) for group in groups]),
        ("AUC per slice, place not given", [estimate(group.auc) for group in groups]),
    ]
    rates = [
        (
            f"TPR at a threshold for {per_cent(limit.false_alarms)} false alarms",
            [estimate(group.true_positives[index]) for group in groups],
        )
        for index, limit in enumerate(thresholds)
    ]
    return [
        *rows,
        *rates,
        ("peak within 16 mm", [estimate(group.localised) for group in groups]),
        ("peak within 16 mm of any tampering in the slice", [estimate(group.localised_any) for group in groups]),
        ("AUC within the slice", [estimate(group.within) for group in groups]),
        ("control: AUC of the untouched rest", [estimate(group.control) for group in groups]),
        ("slices with a finding at p ≤ 0.05", [estimate(group.flagged_slices) for group in groups]),
        ("scans with such a slice", [estimate(group.flagged_scans) for group in groups]),
        ("verdicts", [_counts(group.verdicts) for group in groups]),
        ("sign of the top finding", [_counts(group.signs) for group in groups]),
    ]


def _folds(result: CtganResult) -> str:
    """Show how much the figures vary from one fifth of the scans to the next."""
    folds = [group for group in result.groups if group.half in FOLD_NAMES]
    head = ["fold", "tampering", "slices (scans)", "AUC per slice", "AUC within the slice", "TPR at 5 %", "peak"]
    rows = [
        [
            group.half.removeprefix("fold "),
            KINDS[group.kind],
            f"{group.slices} ({group.scans})",
            number(group.auc.value),
            number(group.within.value),
            number(group.true_positives[-1].value) if group.true_positives else "-",
            number(group.localised.value),
        ]
        for group in folds
    ]
    words = paragraph(
        f"The scans in {FOLDS} folds by the SHA-256 of their names. Nothing is fitted to any of them, so the folds",
        "show only how much the figures vary.",
    )
    return f"{words}\n\n{table(head, rows)}"


def _placed(result: CtganResult) -> str:
    head = ["scans", "tampering", "this detector, AUC", f"published score, AUC ({result.reference})"]
    rows = [
        [group.half, f"{KINDS[group.kind]} ({group.kind})", estimate(group.placed), estimate(group.reference)]
        for group in result.groups
        if group.half in HALVES
    ]
    unplaced = sum(group.unplaced for group in result.groups if group.half == "all")
    words = paragraph(
        "Here the detector is told the place: the tampered one, or in an authentic slice one drawn at random in the",
        "lung (one a slice, seeded). A larger residual counts as more suspicious; the direction was not chosen.",
        f"Tampered places that this detector could not score: {unplaced}; they count as the least suspicious.",
        "These negatives are not those of the paper, so its figures do not compare.",
    )
    return f"{words}\n\n{table(head, rows)}"


def _thresholds(result: CtganResult) -> str:
    if result.calibration_patients is None:
        return "The detector is not calibrated, so there are no thresholds."
    head = ["aimed at", "slice score", "authentic test slices above it", "patients with any slice above it"]
    rows = [
        [
            per_cent(limit.false_alarms),
            number(limit.score),
            estimate(limit.observed),
            f"{limit.patients_above} of {limit.patients}",
        ]
        for limit in result.thresholds
    ]
    return f"{table(head, rows)}\n\n{_support(result, result.calibration_patients)}"


def _support(result: CtganResult, patients: int) -> str:
    worth = ", ".join(f"{per_cent(rate)} is {rate * patients:.2g} of a patient's slices" for rate in FALSE_ALARMS)
    return paragraph(
        "A threshold is the weighted quantile of the slice scores of the calibration patients, each scored by what was",
        f"fitted without it, with patients counting alike. There are {patients}, so that {worth}: such a threshold",
        "hangs on a few highest-scoring patients, and the rate on new patients can be several times what was aimed",
        f"at. As a p-value nothing below 1/{patients + 1} = {1 / (patients + 1):.2g} is ever claimed. The intervals",
        "hold the threshold fixed.",
        f"Authentic test slices: verdicts {_counts(result.authentic_verdicts)}; with a finding at p ≤ 0.05",
        f"{estimate(result.authentic_flagged)}; sign of the top finding {_counts(result.authentic_signs)}.",
    )


def _measures() -> str:
    return "\n".join(
        [
            "- AUC per slice: the chance that a tampered slice's highest suspicion exceeds an authentic one's, every",
            "  authentic patient counting alike. Ties count half.",
            "- AUC within the slice: the share of places in the untampered rest of the same slice (a grid of 6 mm in",
            "  the lung, means over discs of 8 mm) that are less suspicious than the tampered place.",
            "- Rest: more than 32 mm from every tampered place on record of the scan, whatever its slice.",
            "- Control: the AUC per slice of that rest alone (authentic slices lose a disc of 32 mm at random). Where",
            "  it is not near 0.5, part of the AUC is a difference between data sets and no detection.",
        ]
    )


def _authentic_head(result: AuthenticResult, origin: Provenance) -> str:
    patients = len({outcome.patient for outcome in result.scans})
    abstained = sum(outcome.verdict == "abstained" for outcome in result.scans)
    return paragraph(
        origin.markdown(),
        f"Detector: {result.detector}, weights SHA-256 `{result.weights_sha256[:16]}`, calibrated on",
        f"{result.calibration_patients} patients. {len(result.scans)} whole scans of {patients} patients that nothing",
        f"was trained or calibrated on; {abstained} abstained.",
    )


def _seen(seen: SeenEffect) -> str:
    return paragraph(
        f"Trained on or not: the calibration scores {seen.seen} patients that the network was trained on and",
        f"{seen.unseen} that it never saw, each by a typicality fitted without it. A slice of an unseen patient",
        f"outscores one of a seen patient with AUC {estimate(seen.auc)} (0.5: no difference; patients count alike;",
        f"medians of the patients' means {number(seen.unseen_median)} and {number(seen.seen_median)}). Above 0.5 the",
        "p-values of new patients come out too small.",
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "–"
