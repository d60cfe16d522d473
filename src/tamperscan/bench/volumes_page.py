"""The section on forged volumes."""

from __future__ import annotations

from collections.abc import Sequence

from tamperscan.bench.document import Provenance, title
from tamperscan.bench.metrics import ROUNDS
from tamperscan.bench.tables import estimate, paragraph, table
from tamperscan.bench.volumes import VolumesResult
from tamperscan.bench.volumes_figures import Measures, MethodResult


def volumes_page(result: VolumesResult, origin: Provenance, head: str | None = None) -> str:
    """Tell the results on forged blocks."""
    unrelated = [one for one in result.methods if not one.related]
    related = [one for one in result.methods if one.related]
    sections = [
        title("Forged volumes: what the slices around a tampering add", head),
        _head(result, origin),
        "### Methods unlike anything that a detector learns from",
        _methods(unrelated),
        "### Methods akin to what a self-forged head learns from",
        _methods(related),
        "### Without a score, and false alarms",
        _authentic(result.methods),
        _problems(result),
        _measures(),
    ]
    return "\n\n".join(section for section in sections if section)


def _head(result: VolumesResult, origin: Provenance) -> str:
    few = f"{len(result.blocks)} patient{'s' if len(result.blocks) > 1 else ''}"
    used = (
        f"The detector was calibrated on {', '.join(result.used_series)} as it was, which flatters it there."
        if result.used_series
        else ""
    )
    return paragraph(
        origin.markdown(),
        f"Detector: {result.detector}, weights SHA-256 `{result.weights_sha256[:16]}`.",
        f"{sum(result.blocks.values())} blocks of about 40 mm, cut from the volumes of {few} on",
        "whom no network of the detector was trained, each a scan of its own: as it was, and forged once by each",
        "method and action that can work in it. *Block* is the whole of it, *slice* the one slice through the middle",
        "of the tampering, screened by itself.",
        f"In brackets: 95 % bootstrap intervals over patients ({ROUNDS} resamples). With {few} they are",
        "wide, and tell hardly more than the spread between these patients.",
        used,
    )


def _methods(methods: Sequence[MethodResult]) -> str:
    if not methods:
        return "None was measured."
    head = ["method and action", "forged", "seen as", "AUC per scan", "flagged at 0.05", "within 16 mm", "AUC gained"]
    rows = []
    for one in methods:
        name = f"{one.method}, {one.action}"
        rows.append([name, str(one.whole.scans), "block", *_cells(one.whole), estimate(one.gain)])
        rows.append(["", str(one.centre.scans), "slice", *_cells(one.centre), ""])
    return table(head, rows)


def _cells(measures: Measures) -> list[str]:
    return [estimate(measures.auc), estimate(measures.flagged), estimate(measures.localised)]


def _authentic(methods: Sequence[MethodResult]) -> str:
    head = ["method and action", "seen as", "authentic with a score", "without", "flagged at 0.05", "forged without"]
    rows = [
        [
            f"{one.method}, {one.action}",
            name,
            str(measures.authentic),
            str(measures.without[1]),
            estimate(measures.false_alarms),
            str(measures.without[0]),
        ]
        for one in methods
        for name, measures in (("block", one.whole), ("slice", one.centre))
    ]
    return table(head, rows)


def _problems(result: VolumesResult) -> str:
    if not result.problems:
        return ""
    lines = (f"- {count} x {problem}" for problem, count in sorted(result.problems.items()))
    return "\n".join(["What could not be forged:", "", *lines])


def _measures() -> str:
    return paragraph(
        "AUC per scan: the chance that a forged scan outscores an authentic one; patients count alike. A forged scan",
        "without a score counts as the least suspicious, an authentic one without is left out. Negatives are the",
        "blocks that were forged, as they were, and for slices the same slices of them. *Within 16 mm*: in three",
        "dimensions, from the first finding, or where there is none from the most suspicious place. *AUC gained*:",
        "block less slice.",
    )
