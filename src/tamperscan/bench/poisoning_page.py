"""The section on poisoned calibration."""

from __future__ import annotations

from collections.abc import Sequence

from tamperscan.bench.document import Provenance, title
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.poisoning import PoisoningResult
from tamperscan.bench.poisoning_learning import FALSE_ALARMS, PoisonRow
from tamperscan.bench.tables import estimate, number, paragraph, per_cent, table


def poisoning_page(result: PoisoningResult, origin: Provenance) -> str:
    """Tell what forged slices among authentic ones do."""
    names = list(result.targets)
    heads = ["forged", "vetted", *(f"AUC {name}" for name in names)]
    found = ["forged", "vetted", *(f"found {name}" for name in names), "false alarms", "set aside", "of them forged"]
    return "\n\n".join(
        [
            title("Poisoning"),
            origin.markdown(),
            _what_was_done(result),
            table(heads, [[*_first(row), *(estimate(row.auc[name]) for name in names)] for row in result.rows]),
            "The change of the AUC against the same detector without forged slices:",
            table(heads, [[*_first(row), *(change_of(row.change[name]) for name in names)] for row in result.rows[2:]]),
            f"At the threshold that {per_cent(FALSE_ALARMS)} of the calibration's own slices lie above:",
            table(found, [_found(row, names) for row in result.rows]),
            _limits(result),
        ]
    )


def _first(row: PoisonRow) -> list[str]:
    return [f"{per_cent(row.share)} ({row.forged} slices)", "yes" if row.vetted else "no"]


def change_of(change: Estimate) -> str:
    """Tell a change with its interval."""
    return f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def _found(row: PoisonRow, names: Sequence[str]) -> list[str]:
    shares = [per_cent(round(row.found[name], 3)) for name in names]
    return [*_first(row), *shares, per_cent(round(row.alarms, 3)), number(row.aside, 1), number(row.caught, 1)]


def _what_was_done(result: PoisoningResult) -> str:
    tampered = ", ".join(f"{count} of {name}" for name, count in result.targets.items())
    return paragraph(
        f"Typicality and its calibration are learned from {result.slices} slices of {result.patients} patients (the",
        "split's parts `train` and `calibrate`, at most three slices a series). In that set some slices are replaced",
        "by forgeries of the same slices, made with the packaged `gan` and with `copymove`, by turns removals and",
        f"injections; other slices are chosen {result.draws} times, and figures are means over these choices. The",
        "noise predictor stays as it is. Looked for, place not given:",
        f"{tampered}; against {result.held_out} authentic slices of {result.held_out_patients} held-out patients.",
        "AUC per slice, patients of authentic slices counting alike, with 95 % intervals from a bootstrap over",
        "patients. Vetted: patients who score far above the others are set aside, as `calibrate` does; copies are no",
        "matter here, as each forgery stands in the place of its original.",
    )


def _limits(result: PoisoningResult) -> str:
    return paragraph(
        f"What this can't say: 1 % of {result.slices} slices is a single slice, and of {result.patients} patients less",
        "than one, so that the share is one of slices and not of scans. The intervals are over the patients that are",
        "looked at; those of the change are narrow, as the same slices are scored by both detectors, and say nothing",
        "of other patients to learn from. An attacker who chooses what to hide by the detector's own scores, or forges",
        "all slices of a patient, was not tried. Networks trained on forgeries are looked at by themselves, with",
        "`--networks`.",
    )
