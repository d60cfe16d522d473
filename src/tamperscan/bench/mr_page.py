"""The section of the results page on MR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tamperscan.bench.document import Provenance
from tamperscan.bench.metrics import ROUNDS
from tamperscan.bench.mr import NEAR_MM, MrFigures
from tamperscan.bench.tables import estimate, paragraph, table

_ACTIONS = {"inject": "put in", "remove": "taken out"}


@dataclass(frozen=True)
class MrResult:
    """What was measured, and on what.

    Attributes
    ----------
    patient
        Whose scans were forged.
    series
        Their names.
    others
        The other patients.
    seeds
        Forgeries of each kind for each series.
    weights
        Name and SHA-256 of the weights that each contender stands on.
    figures
        By attack and contender.
    """

    patient: str
    series: tuple[str, ...]
    others: tuple[str, ...]
    seeds: int
    weights: dict[str, str]
    figures: tuple[MrFigures, ...]


@dataclass(frozen=True)
class MrHeads:
    """What the heads of one detector reached, each patient judged by what has not learned from it.

    Attributes
    ----------
    weights
        Name and SHA-256.
    seeds
        Forgeries of each kind for each series.
    patients
        By patient: the names of its series, and the figures by attack and head.
    """

    weights: tuple[str, str]
    seeds: int
    patients: dict[str, tuple[tuple[str, ...], tuple[MrFigures, ...]]]


def mr_heads_page(result: MrHeads, origin: Provenance) -> str:
    """Tell by head how well forged MR is found."""
    name, sha256 = result.weights
    head = paragraph(
        origin.markdown(),
        f"Weights: {name}, `{sha256[:16]}`. Each patient is judged by the member of the self-forged head that holds it"
        " out, and by a typicality and a combination of the others; **the noise predictor has seen all of them**.",
        f"Up to {result.seeds} places of each kind in each series, measured in the slice through the middle; place not"
        f" given. In brackets: 95 % bootstrap intervals over places ({ROUNDS} resamples), which say nothing of other"
        " patients.",
        "The self-forged head has seen alterations that are related to `copymove` (copied texture) and `smooth` (smooth"
        " fill), and none that is like `nodule`, whose lesion is drawn: the row to go by.",
        f"Localised: the slice's highest suspicion lies within {NEAR_MM:g} mm of the place.",
    )
    tables = [
        f"### {patient}\n\nSeries: {', '.join(series)}.\n\n{_table(figures)}"
        for patient, (series, figures) in result.patients.items()
    ]
    return "\n\n".join(("## Forged MR by head", head, *tables))


def mr_page(result: MrResult, origin: Provenance) -> str:
    """Tell the results on forged MR."""
    return "\n\n".join(("## Forged MR: one patient left out", _head(result, origin), _table(result.figures)))


def _head(result: MrResult, origin: Provenance) -> str:
    stand_on = "; ".join(f"{name}: `{sha256[:16]}`" for name, sha256 in result.weights.items())
    return paragraph(
        origin.markdown(),
        f"Forged: {len(result.series)} series of one patient ({', '.join(result.series)}), up to {result.seeds} places"
        " of each kind in each, measured in the slice through the middle; place not given.",
        f"Left out means that predictor and typicality were made of the other patients ({', '.join(result.others)});"
        " the packaged detector has seen the patient, whose figures tell nothing of others.",
        f"Weights (SHA-256): {stand_on}.",
        f"In brackets: 95 % bootstrap intervals over places ({ROUNDS} resamples). **They are of one patient**: how much"
        " patients differ is not in them.",
        f"Localised: the slice's highest suspicion lies within {NEAR_MM:g} mm of the place.",
    )


def _table(figures: Sequence[MrFigures]) -> str:
    head = ("lesion, method", "contender", "forgeries", "AUC per slice", "AUC within the slice", "localised")
    rows = [
        (
            f"{_ACTIONS[each.action]}, {each.method}",
            each.contender,
            str(each.forgeries),
            estimate(each.per_slice),
            estimate(each.within),
            estimate(each.localised),
        )
        for each in figures
    ]
    return table(head, rows)
