"""The sentences that reports say: one wording for the page, the terminal and whatever comes later.

A report says how much a scan differs from authentic scans and how often an authentic one would. It says
nothing of causes or people, and "nothing found" never turns into "authentic".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tamperscan.report.schema import ScreeningDocument

RESEARCH_USE = "Research use only. Not a medical device. Not for diagnosis."
_BUILT_FOR = {
    "CT": "The detector was built for, and measured on, tampering of the lungs as generative networks such as "
    "CT-GAN do it: a nodule put in or taken out. It looks where it says it looked, and says nothing of the "
    "rest of the body, of changed headers, or of a scan that was swapped for another person's.",
    "MR": "The detector stands on MR of a few patients, as its model card tells, and was measured on simple forgeries, "
    "most of which it does not find. It looks at the body where the signal stands out of the noise, and says "
    "nothing of changed headers, or of a scan that was swapped for another person's.",
}
_TELLS_CHANCE = "of 100 authentic scans score as high"
LIMITS = (
    "A result that is clear does not mean that the scan is authentic. It means that nothing was found that "
    "this detector measures.",
    "An alarm does not mean that the scan was altered. A fraction of authentic scans, the alarm rate stated "
    "above, raises one; unusual scanners, doses, implants and motion make it more likely. Compare the scan "
    "with the copy on the scanner or in the first archive, and have an expert look at the place.",
    _BUILT_FOR["CT"],
    "Whatever rewrites all pixels hides traces: lossy compression, resampling, smoothing and added noise.",
    "A score says how unusual a place is. It says neither how it came to be so nor who had a part in it.",
)
NEXT_STEPS = {
    "suspicious": "Look at the places below, and compare this scan with the copy on the scanner or in the "
    "first archive that received it.",
    "clear": "Nothing needs to be done because of this report. It does not show that the scan is authentic.",
    "abstained": "Treat this scan as not screened. Where the reason can be put right (another "
    "reconstruction, the whole series, files without lossy compression), screen it again; otherwise have it "
    "looked at by other means.",
}


def limits_of(modality: str) -> tuple[str, ...]:
    """Return what a reader of a report on a scan of this modality must know."""
    return tuple(_BUILT_FOR.get(modality, limit) if limit == _BUILT_FOR["CT"] else limit for limit in LIMITS)


@dataclass(frozen=True)
class Headline:
    """The verdict in plain words.

    Attributes
    ----------
    kind
        The verdict.
    word
        One or two words, as a title.
    sentence
        What was found.
    chance
        How often an authentic scan looks so, and where the alarm is; empty where the detector abstained.
    advice
        What to do now.
    """

    kind: Literal["clear", "suspicious", "abstained"]
    word: str
    sentence: str
    chance: str
    advice: str


def headline(document: ScreeningDocument) -> Headline:
    """Say a document's verdict in plain words."""
    if document.verdict == "clear" and no_alarm_possible(document):
        return _undecided(document)
    word, sentence = {
        "suspicious": ("Suspicious", _suspicious_sentence(document)),
        "clear": ("Nothing found", "Nothing was found that differs from what authentic scans look like."),
        "abstained": ("Not judged", "This scan could not be judged, so nothing is said about it."),
    }[document.verdict]
    return Headline(document.verdict, word, sentence, chance_sentence(document), NEXT_STEPS[document.verdict])


def no_alarm_possible(document: ScreeningDocument) -> bool:
    """Whether so few authentic scans were compared that no scan at all could be called suspicious."""
    count = len(calibration_scores(document))
    return bool(count) and document.alarm_rate < 1.0 / (count + 1) - 1e-12


def _undecided(document: ScreeningDocument) -> Headline:
    count = len(calibration_scores(document))
    least = math.ceil(1000.0 / (count + 1)) / 1000.0
    return Headline(
        "clear",
        "No alarm possible",
        f"With {count} authentic scans for comparison nothing can be called suspicious at an alarm rate of"
        f" {document.alarm_rate:g}, so this result says nothing.",
        chance_sentence(document),
        f"Screen again with an alarm rate of at least {least:g}, or calibrate on more patients."
        " It does not show that the scan is authentic.",
    )


def _suspicious_sentence(document: ScreeningDocument) -> str:
    alarming = [finding for finding in document.findings if is_alarming(finding.p_value, document.alarm_rate)]
    places = alarming or document.findings[:1]
    slices = sorted({finding.centre[0] for finding in places})
    if not slices:
        return "This scan differs from what authentic scans look like."
    if len(places) == 1:
        return f"A place in slice {slices[0]} differs from what authentic scans look like."
    if len(slices) == 1:
        return f"{len(places)} places in slice {slices[0]} differ from what authentic scans look like."
    where = ", ".join(str(index) for index in slices[:-1])
    return f"Places in slices {where} and {slices[-1]} differ from what authentic scans look like."


def is_alarming(p_value: float | None, alarm_rate: float) -> bool:
    """Whether a p-value is at or under the alarm rate."""
    return p_value is not None and p_value <= alarm_rate


def chance_sentence(document: ScreeningDocument) -> str:
    """Say how often an authentic scan scores as high as this one, among how many, and where the alarm is.

    Empty where there is no p-value.
    """
    if document.p_value is None:
        return ""
    count = len(calibration_scores(document))
    alarm = f"the alarm is at {document.alarm_rate * 100:.3g} of 100"
    if count and document.p_value <= 1.0001 / (count + 1):
        return (
            f"None of the {count} authentic scans it was calibrated on scored this high; an authentic scan "
            f"would in at most about {chance_in_words(document.p_value)} cases, and so few scans support no "
            f"smaller figure; {alarm}."
        )
    compared = f" ({count} authentic scans compared)" if count else ""
    chance = chance_in_words(document.p_value)
    return f"An authentic scan would score this high in about {chance} cases{compared}; {alarm}."


def further_reasons(document: ScreeningDocument) -> list[str]:
    """Give a document's reasons without the one that tells the chance, which the headline does already."""
    if document.p_value is None:
        return document.reasons
    return [reason for reason in document.reasons if _TELLS_CHANCE not in reason]


def chance_in_words(probability: float) -> str:
    """Say a probability as a count of cases: 0.02 is "2 of 100", 0.004 is "4 of 1000"."""
    for cases in (100, 1_000, 10_000, 100_000):
        if probability * cases >= 0.95:
            return f"{round(probability * cases)} of {cases}"
    return "fewer than 1 of 100000"


def p_in_words(p_value: float | None) -> str:
    """Write a p-value with two significant digits, or "-" for none."""
    return "-" if p_value is None else f"{p_value:.2g}"


def score_in_words(score: float | None) -> str:
    """Write a score with three significant digits, or "-" for none."""
    return "-" if score is None else f"{score:.3g}"


def size_in_words(size_mm: tuple[float, float, float]) -> str:
    """Write an extent along (slice, row, column) as "9 x 24 x 22 mm"."""
    return " x ".join(f"{extent:.0f}" for extent in size_mm) + " mm"


def measured_slices(document: ScreeningDocument) -> int:
    """Count the slices in which anything could be measured."""
    return sum(result.score is not None for result in document.slices)


def calibration_scores(document: ScreeningDocument) -> list[float]:
    """Scores of the authentic scans that the detector was calibrated on; empty where they are not stated."""
    scores = document.detector.settings.get("calibration_scores")
    if not isinstance(scores, list):
        return []
    return [float(score) for score in scores if isinstance(score, int | float)]
