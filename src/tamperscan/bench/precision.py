"""What bfloat16 costs: the same slices screened in float32 and in what is quickest here."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tamperscan.bench.ctgan import Subject, evaluate
from tamperscan.bench.document import Provenance
from tamperscan.bench.labels import KINDS, Kind, read_labels
from tamperscan.bench.metrics import ROUNDS, Estimate
from tamperscan.bench.runs import Request
from tamperscan.bench.slices import SliceOutcome, TamperedOutcome, measure_authentic, measure_tampered
from tamperscan.bench.subjects import CTGAN_FOLDER, calibration_of, held_out_patients, load_reference, name_with_head
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


@dataclass(frozen=True, eq=False)
class _Run:
    figures: FormatFigures
    detector: str
    weights_sha256: str
    tampered: Sequence[TamperedOutcome]
    authentic: Sequence[SliceOutcome]

    @property
    def slices(self) -> list[SliceOutcome]:
        return [*self.authentic, *(outcome.slice for outcome in self.tampered)]


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
    exact, quick = (_run(request, precision, f"{precision}: ") for precision in (EXACT, "auto"))
    spread = statistics.stdev(one.score for one in exact.authentic if one.measured)
    pairs = [(one, other) for one, other in zip(exact.slices, quick.slices, strict=True) if one.measured]
    off = [abs(one.score - other.score) / spread if other.measured else math.inf for one, other in pairs]
    return PrecisionResult(
        detector=exact.detector,
        weights_sha256=exact.weights_sha256,
        exact=exact.figures,
        quick=quick.figures,
        spread=spread,
        differences=(statistics.median(off), max(off)),
        slices=len(pairs),
        verdicts=sum(one.verdict != other.verdict for one, other in zip(exact.slices, quick.slices, strict=True)),
    )


def _run(request: Request, precision: Precision, words: str) -> _Run:
    detector = load_detector(request.detector, head=request.head, precision=precision)
    reference = load_reference(request.reference or request.detector)

    def step(name: str) -> Callable[[int, int], None]:
        return request.step(words + name)

    labels = read_labels(request.data / CTGAN_FOLDER)
    tampered = measure_tampered(detector, reference, request.data / CTGAN_FOLDER, labels, step("Tampered slices"))
    patients = held_out_patients(
        request.data, request.split, detector.card.modality, on_error=request.on_error, report=step("Authentic scans")
    )
    authentic = measure_authentic(detector, reference, patients)
    name = name_with_head(detector)
    subject = Subject(name, reference.name, detector.weights.sha256, calibration_of(detector))
    measured = evaluate(subject, tampered, authentic, step("Bootstrap"))
    groups = {group.kind: group for group in measured.groups if group.half == "all"}
    figures = FormatFigures(
        runtime=detector.runtime,
        auc={kind: group.auc for kind, group in groups.items()},
        within={kind: group.within for kind, group in groups.items()},
        true_positives={kind: group.true_positives[-1] for kind, group in groups.items()},
    )
    return _Run(figures, name, detector.weights.sha256, tampered, authentic)


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
