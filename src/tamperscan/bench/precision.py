"""What bfloat16 costs: the same slices screened in float32 and in what is quickest here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tamperscan.bench.document import Provenance
from tamperscan.bench.labels import KINDS, Kind
from tamperscan.bench.metrics import ROUNDS, Estimate
from tamperscan.bench.runs import CtganRun, Request, measure_ctgan
from tamperscan.bench.slices import SliceOutcome
from tamperscan.bench.tables import estimate, number, paragraph, table
from tamperscan.detect.load import load_detector
from tamperscan.diffusion.networks import Precision

EXACT: Precision = "float32"


@dataclass(frozen=True)
class FormatFigures:
    """A detector in one number format.

    Attributes
    ----------
    runtime
        What ran the networks.
    auc, within
        By kind: per slice with the place not given, and within the slice.
    true_positives
        By kind: share of the slices above the threshold for 5 % false alarms.
    """

    runtime: str
    auc: Mapping[Kind, Estimate]
    within: Mapping[Kind, Estimate]
    true_positives: Mapping[Kind, Estimate]


@dataclass(frozen=True)
class PrecisionResult:
    """Both formats, and how far their scores lie apart.

    Attributes
    ----------
    detector, weights_sha256
        What was measured.
    exact, quick
        In float32, and as it is run by default.
    spread
        Standard deviation of the authentic slices' scores in float32.
    differences
        Median and largest difference of a slice's score, authentic and tampered, in units of that spread.
    slices
        How many were compared.
    verdicts
        How many slices got another verdict.
    """

    detector: str
    weights_sha256: str
    exact: FormatFigures
    quick: FormatFigures
    spread: float
    differences: tuple[float, float]
    slices: int
    verdicts: int


def run_precision(request: Request) -> PrecisionResult:
    """Screen CT-GAN's slices and authentic test slices in both formats.

    Parameters
    ----------
    request
        What to measure, and on what.

    Raises
    ------
    ScanError, WeightsError, TrainingError
        If the slices, the detector or the split can't be read.
    """
    (exact, exact_figures), (quick, quick_figures) = (_run(request, precision) for precision in (EXACT, "auto"))
    spread = statistics.stdev(one.score for one in exact.authentic if one.measured)
    both = list(zip(_slices(exact), _slices(quick), strict=True))
    off = [abs(one.score - other.score) / spread if other.measured else math.inf for one, other in both if one.measured]
    return PrecisionResult(
        detector=exact.result.detector,
        weights_sha256=exact.result.weights_sha256,
        exact=exact_figures,
        quick=quick_figures,
        spread=spread,
        differences=(statistics.median(off), max(off)),
        slices=len(off),
        verdicts=sum(one.verdict != other.verdict for one, other in both),
    )


def _run(request: Request, precision: Precision) -> tuple[CtganRun, FormatFigures]:
    detector = load_detector(request.detector, head=request.head, precision=precision)
    run = measure_ctgan(replace(request, step=lambda name: request.step(f"{precision}: {name}")), detector)
    groups = {group.kind: group for group in run.result.groups if group.half == "all"}
    figures = FormatFigures(
        runtime=detector.runtime,
        auc={kind: group.auc for kind, group in groups.items()},
        within={kind: group.within for kind, group in groups.items()},
        true_positives={kind: group.true_positives[-1] for kind, group in groups.items()},
    )
    return run, figures


def _slices(run: CtganRun) -> list[SliceOutcome]:
    return [*run.authentic, *(outcome.slice for outcome in run.tampered)]


def precision_page(result: PrecisionResult, origin: Provenance) -> str:
    """Tell what the quicker format costs."""
    head = ("run by", *(f"{words}: {figure}" for words in KINDS.values() for figure in ("AUC", "within", "TPR at 5 %")))
    rows = [(each.runtime, *_cells(each)) for each in (result.exact, result.quick)]
    median, largest = result.differences
    words = paragraph(
        origin.markdown(),
        f"The same {result.slices} slices, tampered and authentic, screened twice by {result.detector}. Scores differ"
        f" by {number(median, 3)} in the median and {number(largest, 3)} at most, in units of the spread of authentic"
        f" slices' scores ({number(result.spread)}); {result.verdicts} slices got another verdict.",
        f"In brackets: 95 % bootstrap intervals over scans ({ROUNDS} resamples).",
        f"Weights: SHA-256 `{result.weights_sha256[:16]}`.",
    )
    return "\n\n".join(("## float32 and bfloat16", words, table(head, rows)))


def _cells(figures: FormatFigures) -> list[str]:
    parts = (figures.auc, figures.within, figures.true_positives)
    return [estimate(part[kind]) for kind in KINDS for part in parts]
