"""The section of the results page on ways from window statistics to evidence."""

from __future__ import annotations

from tamperscan.bench.document import Provenance
from tamperscan.bench.evidence_forms import FOLDS
from tamperscan.bench.evidence_measuring import SIZES_MM
from tamperscan.bench.evidence_run import EvidenceResult, KindFigures
from tamperscan.bench.labels import KINDS
from tamperscan.bench.metrics import ROUNDS
from tamperscan.bench.tables import estimate, paragraph, table


def evidence_page(result: EvidenceResult, origin: Provenance) -> str:
    """Tell what each way finds."""
    head = ("way", *(f"{words}: {figure}" for words in KINDS.values() for figure in ("AUC", "within", "16 mm")))
    rows = [
        (name, *(cell for kind in KINDS for cell in _cells(figures[kind]))) for name, figures in result.ways.items()
    ]
    return "\n\n".join(("## Typicality: windows, statistics, distances", _head(result, origin), table(head, rows)))


def _head(result: EvidenceResult, origin: Provenance) -> str:
    counts = " and ".join(f"{result.tampered[kind]} slices with {words}" for kind, words in KINDS.items())
    return paragraph(
        origin.markdown(),
        f"Typicality alone, one slice at a time, on the development half of the CT-GAN slices ({counts}) against"
        f" {result.authentic} authentic slices of {result.patients} patients that the packaged detector learns from,"
        f" each judged by what was fitted without it ({FOLDS} parts). Here the packaged way was chosen, so its own row"
        " is a little too good; the other half of the slices had no say in it.",
        f"Windows are Gaussians of {SIZES_MM[0]:g} to {SIZES_MM[-1]:g} mm standard deviation, as wide as squares of"
        f" {_square(SIZES_MM[0])} to {_square(SIZES_MM[-1])} mm. All distances but the one-sided ones are fitted to"
        " z-scores of authentic windows. AUC: per slice, place not given. Within: share of the slice's untampered"
        " places with less evidence than the tampered one. 16 mm: share of the slices whose peak lies so near to the"
        " label.",
        f"In brackets: 95 % bootstrap intervals over scans and patients ({ROUNDS} resamples). They are wider than most"
        " differences between the rows.",
        f"Weights: SHA-256 `{result.weights_sha256[:16]}`.",
    )


def _square(deviation_mm: float) -> int:
    """Side of a square with the same standard deviation along each side."""
    return round(12**0.5 * deviation_mm)


def _cells(figures: KindFigures) -> tuple[str, str, str]:
    return estimate(figures.auc), estimate(figures.within), estimate(figures.localised)
