"""The section "Laundering" of docs/robustness.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from tamperscan.bench.document import Provenance
from tamperscan.bench.labels import KINDS, Kind
from tamperscan.bench.metrics import ROUNDS, Estimate
from tamperscan.bench.robustness.averaging import WAYS, AveragedResult
from tamperscan.bench.robustness.figures import KindResult, TreatmentResult, VerdictResult
from tamperscan.bench.robustness.run import RobustnessResult
from tamperscan.bench.robustness.subjects import AUTHENTIC
from tamperscan.bench.tables import estimate, number, paragraph, per_cent, table


def robustness_page(result: RobustnessResult, origin: Provenance) -> str:
    """Tell what laundering does."""
    sections = [
        "## Laundering",
        _head(result, origin),
        "### What is left of the detection",
        _detection(result.treatments),
        _measures(result),
        "### What the detector says",
        _verdicts(result.treatments),
        "### How processing is recognised",
        _recognised(result.treatments),
        _false_recognitions(result),
        *(["### Gradient attack", _attack_words(), _attack_table(result.attacks)] if result.attacks else []),
        *(["### Slice averaging", _averaged(result.averaged)] if result.averaged else []),
        _problems([*result.treatments, *result.attacks]),
    ]
    return "\n\n".join(section for section in sections if section)


def _head(result: RobustnessResult, origin: Provenance) -> str:
    untreated = result.treatments[0]
    tampered = ", ".join(f"{one.slices} slices ({KINDS[kind]})" for kind, one in untreated.kinds.items())
    most = f" Of each scan or patient at most {result.most} of a kind were taken." if result.most else ""
    return paragraph(
        origin.markdown(),
        f"Detector: {result.detector}, weights SHA-256 `{result.weights_sha256[:16]}`.",
        f"Real CT-GAN slices: {tampered}; authentic: {untreated.authentic} slices of {untreated.patients} patients that"
        f" nothing was trained or calibrated on.{most} Tampered and authentic slices get the same treatment, as"
        " a whole; where it says 'place', around the tampering alone, and in authentic slices around a place that is"
        " drawn at random in the lung. What comes out is rounded to whole HU, as a file holds it. JPEG is of 8 bits in"
        " a lung window, as Pillow writes no other; JPEG 2000 is of 12 bits.",
        f"In brackets: 95 % bootstrap intervals over scans and patients ({ROUNDS} resamples).",
        f"Test scans that the detector was made of: {', '.join(result.not_held_out)}." if result.not_held_out else "",
    )


def _detection(results: Sequence[TreatmentResult]) -> str:
    head = ["treatment", *(f"AUC, {word}" for word in KINDS.values()), *(f"TPR, {word}" for word in KINDS.values())]
    rows = [
        [
            one.words,
            *(_of_kind(one, kind, lambda each: each.auc) for kind in KINDS),
            *(_of_kind(one, kind, lambda each: each.true_positives[0]) for kind in KINDS),
            estimate(one.false_alarms[0]),
            estimate(one.false_alarms[1]),
        ]
        for one in results
    ]
    return table([*head, "false alarms, 1 %", "false alarms, 5 %"], rows)


def _of_kind(one: TreatmentResult, kind: Kind, pick: Callable[[KindResult], Estimate]) -> str:
    return estimate(pick(one.kinds[kind])) if kind in one.kinds else "–"


def _measures(result: RobustnessResult) -> str:
    first, second = (per_cent(rate) for rate in result.false_alarms)
    return paragraph(
        "AUC: per slice, place not given, tampered against authentic slices with the same treatment. It counts the"
        " scores that the detector gives also where it abstains.",
        f"TPR: share of tampered slices above the threshold for {first} false alarms, which is frozen: from the slice"
        f" scores of the calibration patients, untreated. False alarms: share of authentic test slices above that"
        f" threshold, and above the one for {second}, patients counting alike; against the first row they show the"
        " drift.",
    )


def _verdicts(results: Sequence[TreatmentResult]) -> str:
    head = ["treatment", "authentic: clear", "suspicious", "abstained", "tampered: clear", "suspicious", "abstained"]
    rows = [
        [one.words, *_shares(one.verdicts.get(AUTHENTIC)), *_shares(one.verdicts.get("tampered"))] for one in results
    ]
    words = paragraph(
        "Shares of slices, each judged by itself at the usual alarm rate of 5 %. 'Clear' of a tampered slice is the"
        " error that matters most: abstaining is right where the treatment leaves nothing to judge by."
    )
    return f"{table(head, rows)}\n\n{words}"


def _shares(verdicts: VerdictResult | None) -> list[str]:
    if verdicts is None:
        return ["–"] * 3
    return [per_cent(round(one.value, 3)) for one in (verdicts.clear, verdicts.suspicious, verdicts.abstained)]


def _recognised(results: Sequence[TreatmentResult]) -> str:
    whole = [one for one in results if not one.place_only]
    rows = [[one.words, *(_recognition(one.verdicts.get(name)) for name in (AUTHENTIC, "tampered"))] for one in whole]
    rows = [[*row, _traces(one)] for row, one in zip(rows, whole, strict=True)]
    return table(["treatment", "recognised, authentic", "recognised, tampered", "as"], rows)


def _recognition(verdicts: VerdictResult | None) -> str:
    return "–" if verdicts is None else estimate(verdicts.recognised)


def _traces(one: TreatmentResult) -> str:
    counts: Counter[str] = Counter()
    for verdicts in one.verdicts.values():
        counts.update(verdicts.traces)
    return ", ".join(f"{count} x {name}" for name, count in counts.most_common()) or "–"


def _false_recognitions(result: RobustnessResult) -> str:
    counts = {
        word: sum(1 for name in result.scans_recognised if name.startswith(f"{word} "))
        for word in (AUTHENTIC, "tampered")
    }
    false = result.false_recognitions
    return paragraph(
        f"By mistake processing was recognised in {_interval(false[AUTHENTIC])} of {counts[AUTHENTIC]} whole untreated"
        f" test scans (single slices among them), in {_interval(false['tampered'])} of {counts['tampered']} untreated"
        f" CT-GAN slices, and in {_interval(false['both'])} of both together (95 % binomial intervals).",
        "The limits were chosen on other patients (`training/choose_processing.py`), with the same settings of the"
        " treatments; the diffusion model's regeneration was not among them. Other settings than these may be"
        " recognised less often. Two rules for added noise were left out because they erred on these very slices, so"
        " that the rate of mistakes is a little flattered.",
    )


def _interval(share: Estimate) -> str:
    return f"{share.value * 100:.3g} % [{share.low * 100:.2g}, {share.high * 100:.2g}]"


def _attack_words() -> str:
    return paragraph(
        "The attacker has the weights, and takes the gradient of all that is differentiable of the score (6 steps of"
        " projected gradient descent, all pixels that the detector sees). A test compares the torch copy of the"
        " networks with those that are shipped. Both aims are tried on tampered and on authentic slices, one a scan or"
        " patient; they are few, as an attack takes many times as long as a screening. What is attacked is judged by"
        " the real detector. Nothing in tamperscan notices or resists such an attack: whoever has the weights can move"
        " the score by changes that nobody sees.",
    )


def _attack_table(results: Sequence[TreatmentResult]) -> str:
    head = ["treatment"]
    head += [f"{who}: {what}" for who in ("tampered", AUTHENTIC) for what in ("mean score", "above 1 %", "above 5 %")]
    return table(
        [*head, "tampered called clear", "authentic called suspicious"],
        [
            [
                one.words,
                *(cell for who in ("tampered", AUTHENTIC) for cell in _scored(one.verdicts.get(who))),
                _counted(one.verdicts.get("tampered"), "clear"),
                _counted(one.verdicts.get(AUTHENTIC), "suspicious"),
            ]
            for one in results
        ],
    )


def _scored(verdicts: VerdictResult | None) -> list[str]:
    if verdicts is None:
        return ["–"] * 3
    return [number(verdicts.mean_score, 1), *(f"{count} of {verdicts.slices}" for count in verdicts.above)]


def _counted(verdicts: VerdictResult | None, verdict: str) -> str:
    if verdicts is None:
        return "–"
    share: Estimate = getattr(verdicts, verdict)
    return f"{round(share.value * verdicts.slices)} of {verdicts.slices}"


def _averaged(result: AveragedResult) -> str:
    words = paragraph(
        "The CT-GAN slices have no neighbours, so this is measured on volumes: the mean of three neighbouring slices in"
        f" {result.blocks} blocks of 40 mm of {result.patients} patients and {result.forgeries} forgeries of them (the"
        " packaged networks of the same attack); whole blocks are judged. Some of these patients are among those that"
        " the detector was calibrated on.",
    )
    rows = [
        [
            name,
            estimate(result.auc[way]),
            *(per_cent(round(one[way].value, 3)) for one in (result.alarms_authentic, result.abstained_authentic)),
            *(per_cent(round(one[way].value, 3)) for one in (result.clear_forged, result.abstained_forged)),
        ]
        for way, name in zip(WAYS, ("untreated", "mean of three slices"), strict=True)
    ]
    head = ["treatment", "AUC", "authentic: suspicious", "abstained", "forged: clear", "abstained"]
    return f"{words}\n\n{table(head, rows)}"


def _problems(results: Sequence[TreatmentResult]) -> str:
    lines = [f"- {one.words}: {sum(one.problems.values())} slices" for one in results if one.problems]
    return "\n".join(["Treatments that could not be applied to all slices:", "", *lines]) if lines else ""
