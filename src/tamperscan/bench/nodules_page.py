"""The section on told places: nodules and removals, as in the paper's protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tamperscan.bench.document import Provenance, title
from tamperscan.bench.metrics import ROUNDS
from tamperscan.bench.nodules import HALVES, HELD_OUT_NODULES, Comparison, NoduleResult
from tamperscan.bench.nodules_places import HELD_OUT, LEAST_REFERENCES, REFERENCE_PLACES, SEEN
from tamperscan.bench.nodules_scoring import OURS, PUBLISHED
from tamperscan.bench.protocols.paper import PAPER_AUC
from tamperscan.bench.tables import estimate, paragraph, table

_HALVES = {"all": "all scans", "development": "development half", "reserved": "reserved half"}


def nodules_page(result: NoduleResult, origin: Provenance, head: str | None = None) -> str:
    """Tell what came of the protocol."""
    injected = [one for one in result.comparisons if one.kind == "injected"]
    removed = [one for one in result.comparisons if one.kind == "removed"]
    sections = [
        title("The place is told: fake nodules against real ones", head),
        _head(result, origin),
        _paper(),
        "### Injections against real nodules",
        _table([one for one in injected if one.half == HALVES[0]], "the real nodules", lambda one: one.against),
        _table([one for one in injected if one.against == HELD_OUT_NODULES], "CT-GAN's scans", _half),
        "### Removals against healthy lung",
        _table(removed, "CT-GAN's scans", _half),
        _unscored(result),
        "### What the real nodules are",
        _nodules(result),
        _measures(),
    ]
    return "\n\n".join(section for section in sections if section)


def _head(result: NoduleResult, origin: Provenance) -> str:
    warning = (
        f"**Not held out:** the detector's card names {', '.join(result.not_held_out)}; the figures flatter it."
        if result.not_held_out
        else ""
    )
    return paragraph(
        origin.markdown(),
        f"Detector: {result.detector}, weights SHA-256 `{result.weights_sha256[:16]}`; beside it the published",
        "score with the same noise predictor. Both are given the same single slices and the same places.",
        f"In brackets: 95 % bootstrap intervals ({ROUNDS} resamples) over CT-GAN's scans and the patients of authentic",
        "places; each scan or patient counts once, however many places it has.",
        warning,
    )


def _paper() -> str:
    return paragraph(
        f"The paper reports {PAPER_AUC['inject']:.2f} for injections and {PAPER_AUC['remove']:.2f} for removals. These",
        "are its own figures, on its own patches, networks and modalities; they are no measurement of ours, and other",
        "patches give other figures.",
    )


def _table(rows: Sequence[Comparison], what: str, name: Callable[[Comparison], str]) -> str:
    head = [what, "tampered (scans)", "authentic (patients)", "detector", "published"]
    head += ["detector, relative to its own slice", "published, relative to its own slice"]
    return table(
        head,
        [
            [
                name(one),
                f"{one.places} ({one.scans})",
                f"{one.others} ({one.patients})",
                estimate(one.auc[OURS]),
                estimate(one.auc[PUBLISHED]),
                estimate(one.relative[OURS]),
                estimate(one.relative[PUBLISHED]),
            ]
            for one in rows
        ],
    )


def _half(one: Comparison) -> str:
    return _HALVES[one.half]


def _unscored(result: NoduleResult) -> str:
    counts = [
        f"{name}: {', '.join(f'{count} {kind}' for kind, count in kinds.items() if count) or 'none'}"
        for name, kinds in result.unscored.items()
    ]
    return paragraph(
        f"Places without a score, by what they are ({'; '.join(counts)}): a tampered one counts as the",
        "least suspicious, an authentic one is left out.",
    )


def _nodules(result: NoduleResult) -> str:
    nodules = [one for one in result.spots if one.kind == "nodule"]
    rows = []
    for part in (*HELD_OUT, SEEN):
        here = [one for one in nodules if one.part == part]
        if here:
            sizes = [one.diameter_mm for one in here]
            rows.append(
                [
                    part,
                    f"{len(here)} ({len({one.group for one in here})})",
                    str(sum(one.marked for one in here)),
                    str(sum(not one.marked and one.sure for one in here)),
                    str(sum(not one.sure for one in here)),
                    f"{min(sizes):.0f} to {max(sizes):.0f}",
                ]
            )
    head = ["part of the split", "nodules (patients)", "marked by readers", "by eye, sure", "by eye, likely", "mm"]
    words = paragraph(
        "Nodules marked by readers are those that at least two radiologists of LIDC-IDRI drew, and the tumours",
        "boxed in Lung-PET-CT-Dx. The others were found with a blob filter in scans without marks and kept by eye",
        "by the project's authors, who are no radiologists: what is real there is the pixels; that each is a tumour",
        "is not proven. A nodule that was reconstructed twice is two places of one patient.",
        "Where the middle of a mass at the chest wall lies outside the lung region, the place is the one in it that",
        "has most of the region's soft tissue around it.",
        'The part "train" trained the network, "calibrate" the typicality and the calibration; "test" did neither.',
    )
    return f"{table(head, rows)}\n\n{words}"


def _measures() -> str:
    return paragraph(
        "Relative to its own slice: the score less the median score of up to",
        f"{REFERENCE_PLACES} healthy places of the same slice, drawn at random at least 8 mm inside the lung, clear of",
        "large vessels, and more than 32 mm from everything that was tampered with or is a nodule. It takes away what",
        "scanner, dose and kernel do to a whole slice, so that a difference between CT-GAN's scans and others does",
        f"not pass for a detection. Where fewer than {LEAST_REFERENCES} such places have a score it is unknown, and",
        "counted as a place without a score. A larger score counts as more suspicious; the direction was not chosen.",
    )
