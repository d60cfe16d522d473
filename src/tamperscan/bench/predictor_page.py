"""The section of the results page on noise predictors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tamperscan.bench.document import Provenance
from tamperscan.bench.labels import KINDS
from tamperscan.bench.metrics import ROUNDS, Estimate
from tamperscan.bench.predictor_figures import PredictorResult
from tamperscan.bench.predictor_measuring import LEVELS_HU
from tamperscan.bench.predictor_run import PACKAGED
from tamperscan.bench.predictor_study import BASE, NEIGHBOURS
from tamperscan.bench.student_figures import Likeness, StudentFigures
from tamperscan.bench.tables import estimate, paragraph, table

# A student is called as good as its teacher if no AUC falls by more than this, as far as can be told.
_NO_COST = 0.02


def predictors_page(result: PredictorResult, origin: Provenance) -> str:
    """Tell what makes a noise predictor better."""
    sections = [
        "## Noise predictors: size, training, neighbouring slices, one pass",
        _head(result, origin),
        "### Size and length of training",
        _all_patients(result),
        *_neighbours(result),
        *(_student(result.student) if result.student else ()),
    ]
    return "\n\n".join(section for section in sections if section)


def _head(result: PredictorResult, origin: Provenance) -> str:
    return paragraph(
        origin.markdown(),
        f"A small study on one processor core: {result.steps} steps of {result.batch} crops of {result.crop_px} pixels,"
        f" learned from the {result.learned} series of the split's training part, one thing changed at a time. The"
        " packaged weights were trained far longer, on larger crops and on single slices of more patients too.",
        f"Packaged weights: SHA-256 `{result.weights_sha256[:16]}`.",
        f"Measured on {result.crops} crops of lungs of {result.patients} patients that none of these was trained on,"
        " with the same added noise for all. The error is the mean square of predicted less added noise, both"
        " standardised: saying nothing gives 1. It can't reach 0, for a scan's own noise can't be told from the added.",
        f"In brackets: 95 % bootstrap intervals over patients ({ROUNDS} resamples), patients counting alike; ratios"
        " compare crop by crop.",
    )


def _all_patients(result: PredictorResult) -> str:
    head = ("predictor", "parameters", "steps", "time a pass", *_levels(), "error, of the first's")
    rows = [
        (
            each.words,
            f"{each.parameters:,}",
            f"{each.steps:,}",
            f"{each.seconds:.1f}",
            *(_error(value) for value in each.errors),
            _ratio(each.ratio),
        )
        for each in result.variants
        if each.errors is not None
    ]
    words = "Time a pass: processor time, as a multiple of the quickest's."
    return f"{table(head, rows)}\n\n{words}\n\n{_reading(result)}"


def _neighbours(result: PredictorResult) -> tuple[str, ...]:
    chosen = [each for each in result.variants if each.name in (BASE, NEIGHBOURS, PACKAGED)]
    gain = next((each.series_ratio for each in chosen if each.name == NEIGHBOURS), None)
    if gain is None:
        return ()
    head = ("predictor", *_levels(), "error, of the first's")
    rows = [
        (each.words, *(_error(value) for value in each.series_errors), _ratio(each.series_ratio)) for each in chosen
    ]
    words = paragraph(
        f"Neighbours are there in series only: {result.series_crops} crops of {result.series_patients} patients, so the"
        " intervals say little of other patients.",
        f"With its neighbours the network has {_ratio(gain)} times the error of the slice alone: {_verdict(gain)}.",
        "The added noise differs from slice to slice; where a scanner's own noise is alike in neighbours, as in thin or"
        " overlapping slices, they say less. The training was short: a longer one may still gain by neighbours.",
        "Single slices, such as all of the CT-GAN ones here, have no neighbours, so the packaged network stays 2-D: one"
        " that needs neighbours could not be measured on them, and would abstain on a single slice.",
    )
    return ("### Neighbouring slices", table(head, rows), words)


def _reading(result: PredictorResult) -> str:
    rows = [(each.words, each.ratio) for each in result.variants if each.ratio is not None]
    told = "; ".join(f"{words}: {_verdict(ratio)}" for words, ratio in rows)
    return paragraph(f"Beside the first: {told}." if told else "", _length_against_size(result))


def _length_against_size(result: PredictorResult) -> str:
    """Compare what twice the steps are worth with what more parameters are worth."""
    by_name = {each.name: each for each in result.variants}
    if not {BASE, "half", "large"} <= set(by_name):
        return ""
    base, half, large = by_name[BASE], by_name["half"].ratio, by_name["large"]
    assert half is not None
    assert large.ratio is not None  # 2-D variants are measured on all patients
    return (
        f"From half the steps to all of them the error changes by {_change(1.0 / half.value)}, with"
        f" {large.parameters / base.parameters:.1f} times the parameters, which take {large.seconds / base.seconds:.1f}"
        f" times as long, by {_change(large.ratio.value)}. All but the packaged network are far from having learned all"
        " that they could, so the order holds for short training alone."
    )


def _change(ratio: float) -> str:
    return f"{(ratio - 1.0) * 100.0:+.1f} %"


def _verdict(ratio: Estimate) -> str:
    """Say in words whether an error differs from another."""
    per_cent = abs(ratio.value - 1.0) * 100.0
    if ratio.low <= 1.0 <= ratio.high:
        return "no difference that could be told"
    return f"{per_cent:.1f} % {'less' if ratio.value < 1.0 else 'more'} error"


def _student(figures: StudentFigures) -> tuple[str, ...]:
    levels = " and ".join(f"{level:g}" for level in figures.levels_hu)
    head = paragraph(
        f"A student of the packaged network gives the noise at {levels} HU in one pass. It starts from the teacher's"
        f" weights and learned its answers for {figures.steps:,} steps on slices without added noise, as in screening.",
        f"Its pass takes 1/{figures.time_ratio:.2f} of the time of the teacher's {len(figures.levels_hu)}.",
        f"Noise: in the held-out crops. Windows: of {figures.slices} slices of {figures.patients} test patients, each"
        " tissue less its median in the slice.",
    )
    likeness = [
        *((f"noise at {level:g} HU", each) for level, each in zip(figures.levels_hu, figures.noise, strict=True)),
        ("log energy of windows", figures.energy),
        ("whiteness of windows", figures.whiteness),
    ]
    return ("### One pass for all levels", head, _likeness_table(likeness), _found_table(figures), _cost(figures))


def _likeness_table(rows: Iterable[tuple[str, Likeness]]) -> str:
    lines = [(name, _fine(each.correlation), _fine(each.error)) for name, each in rows]
    return table(("student beside teacher", "correlation", "error (noise: of its root mean square)"), lines)


def _found_table(figures: StudentFigures) -> str:
    slices, patients = figures.negatives
    words = paragraph(
        "AUC per slice of the typicality, place not given, on the development half of the CT-GAN slices against"
        f" {slices} authentic slices of {patients} calibration patients; what is typical was learned from the training"
        " patients with the maps of each (at most six slices a scan, so that these figures are not those of the"
        " packaged detector):",
    )
    rows = [
        (
            f"{KINDS[each.kind]} ({each.slices} slices)",
            estimate(each.teacher),
            estimate(each.student),
            _signed(each.difference),
        )
        for each in figures.found
    ]
    return f"{words}\n\n{table(('tampering', 'teacher', 'student', 'student less teacher'), rows)}"


def _cost(figures: StudentFigures) -> str:
    worst = min(figures.found, key=lambda each: each.difference.value)
    if all(each.difference.low >= -_NO_COST for each in figures.found):
        return "No AUC falls by more than 0.02 within its interval: the student costs no accuracy that was found here."
    if worst.difference.value >= -_NO_COST:
        return paragraph(
            "The student's AUC is as high as its teacher's to within 0.02, but the intervals allow for a larger loss:",
            "with so few slices it can't be said that it costs nothing.",
            "The packaged weights stay those of the teacher.",
        )
    return paragraph(
        f"The student costs accuracy: {-worst.difference.value:.2f} of AUC on {KINDS[worst.kind]}.",
        "The packaged weights stay those of the teacher.",
    )


def _levels() -> Sequence[str]:
    return [f"error at {level:g} HU" for level in LEVELS_HU]


def _error(measured: Estimate) -> str:
    return f"{measured.value:.3f} [{measured.low:.3f}, {measured.high:.3f}]"


def _fine(measured: Estimate) -> str:
    return _error(measured)


def _ratio(measured: Estimate | None) -> str:
    return "1" if measured is None else _error(measured)


def _signed(measured: Estimate) -> str:
    return f"{measured.value:+.3f} [{measured.low:+.3f}, {measured.high:+.3f}]"
