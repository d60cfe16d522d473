"""The section on noise predictors that were trained on forgeries too."""

from __future__ import annotations

from tamperscan.bench.document import Provenance, title
from tamperscan.bench.poisoning_learning import FALSE_ALARMS
from tamperscan.bench.poisoning_networks import SEED, NetworkRow, NetworksResult
from tamperscan.bench.poisoning_page import change_of
from tamperscan.bench.tables import estimate, paragraph, per_cent, table


def networks_page(result: NetworksResult, origin: Provenance) -> str:
    """Tell what forged crops do among those that a noise predictor is trained on."""
    names = list(result.targets)
    heads = ["forged crops", *(f"AUC {name}" for name in names)]
    found = ["forged crops", *(f"found {name}" for name in names), "false alarms"]
    return "\n\n".join(
        [
            title("Poisoned networks"),
            origin.markdown(),
            _what_was_done(result),
            table(heads, [[_first(each), *(estimate(each.row.auc[name]) for name in names)] for each in result.rows]),
            "The change of the AUC against the network of the first row; the last one is what another seed changes:",
            table(
                heads,
                [[_first(each), *(change_of(each.row.change[name]) for name in names)] for each in result.rows[1:]],
            ),
            f"At the threshold that {per_cent(FALSE_ALARMS)} of the calibration's own slices lie above:",
            table(found, [_found(each, names) for each in result.rows]),
            _limits(result),
        ]
    )


def _first(each: NetworkRow) -> str:
    share = per_cent(each.training.share)
    if each.training.seed != SEED:
        return f"{share}, another seed"
    return f"{share} (about {each.row.forged})" if each.row.forged else share


def _found(each: NetworkRow, names: list[str]) -> list[str]:
    shares = [per_cent(round(each.row.found[name], 3)) for name in names]
    return [_first(each), *shares, per_cent(round(each.row.alarms, 3))]


def _what_was_done(result: NetworksResult) -> str:
    tampered = ", ".join(f"{count} of {name}" for name, count in result.targets.items())
    return paragraph(
        f"Noise predictors of the packaged size are trained for {result.steps} steps of {result.batch} crops of",
        f"{result.crop_px} x {result.crop_px} pixels, from the {result.trained_scans} scans of the split's part",
        "`train`. Of these crops some are replaced, by chance, by forged ones: they are centred in what was altered in",
        f"{result.forged_slices} forged slices of the same scans (at most three slices a series), made with the",
        "packaged `gan` and with `copymove`, by turns removals and injections. The seed, the other crops, the noise",
        "and its levels are the same in all trainings; one more has another seed and no forgery, and tells what",
        "chance changes. On top of each network typicality and its calibration are learned from",
        f"{result.slices} authentic slices of {result.patients} patients (the parts `train` and `calibrate`). Looked",
        f"for, place not given: {tampered}; against {result.held_out} authentic slices of {result.held_out_patients}",
        "held-out patients. AUC per slice, patients of authentic slices counting alike, with 95 % intervals from a",
        "bootstrap over patients.",
    )


def _limits(result: NetworksResult) -> str:
    return paragraph(
        f"What this can't say: {result.steps} steps are a short training (the packaged network had 9,000, of four",
        "times as many crops, and larger ones), so that these detectors are not the packaged one, and a longer",
        "training may learn more of the forgeries. Each share was trained once, with one seed. The intervals are over",
        "the patients that are looked at and hold nothing of that chance; the row with another seed is a single",
        "example of it, and a change no larger than that row's tells nothing. The forged crops are of two methods,",
        "always the same few slices, and each shows what was altered: as many forged scans would show it less often.",
        "CT-GAN itself was not among them. Nothing was screened for, and forgeries among what the network and what the",
        "calibration learns from were not tried together.",
    )
