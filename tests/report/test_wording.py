import dataclasses

import pytest

from tamperscan.report.schema import screening_document
from tamperscan.report.wording import (
    LIMITS,
    NEXT_STEPS,
    calibration_scores,
    chance_in_words,
    chance_sentence,
    further_reasons,
    headline,
    limits_of,
    measured_slices,
    p_in_words,
    score_in_words,
    size_in_words,
)


def test_suspicious_headline_names_the_slice_and_the_chance(suspicious):
    words = headline(screening_document(suspicious))
    assert words.sentence == "A place in slice 6 differs from what authentic scans look like."
    assert words.chance == (
        "An authentic scan would score this high in about 2 of 100 cases (99 authentic scans compared); "
        "the alarm is at 5 of 100."
    )


def test_suspicious_headline_names_only_alarming_places(make_screening, make_finding):
    findings = (make_finding(), make_finding(centre=(8, 1, 1)), make_finding(centre=(2, 1, 1), p_value=0.5))
    words = headline(screening_document(make_screening(findings=findings)))
    assert words.sentence == "Places in slices 6 and 8 differ from what authentic scans look like."


def test_suspicious_headline_without_findings(make_screening):
    words = headline(screening_document(make_screening(findings=())))
    assert words.sentence == "This scan differs from what authentic scans look like."


def test_clear_is_never_called_authentic(clear):
    words = headline(screening_document(clear))
    assert words.word == "Nothing found"
    assert words.sentence == "Nothing was found that differs from what authentic scans look like."
    assert "does not show that the scan is authentic" in words.advice


def test_alarm_rate_that_is_not_supported_is_no_clear_result(make_clear):
    settings = {"calibration_scores": [1.0] * 34}
    for rate, word in ((0.01, "No alarm possible"), (1 / 35, "Nothing found"), (0.05, "Nothing found")):
        words = headline(screening_document(make_clear(p_value=0.5, alarm_rate=rate, settings=settings)))
        assert words.word == word
    undecided = headline(screening_document(make_clear(p_value=1 / 35, alarm_rate=0.01, settings=settings)))
    assert "nothing can be called suspicious at an alarm rate of 0.01" in undecided.sentence
    assert "None of the 34" in undecided.chance
    assert "at least 0.029" in undecided.advice


def test_abstained_headline_says_what_to_do(abstained):
    words = headline(screening_document(abstained))
    assert words.word == "Not judged"
    assert words.chance == ""
    assert "not screened" in words.advice


def test_no_sentence_names_a_cause_or_a_person(suspicious):
    said = " ".join((*LIMITS, *NEXT_STEPS.values(), *dataclasses.astuple(headline(screening_document(suspicious)))))
    for word in ("forge", "someone", "attacker", "fraud", "malicious", "fake"):
        assert word not in said.lower()


def test_smallest_p_value_that_the_calibration_supports_is_called_so(make_screening):
    settings = {"calibration_scores": [1.0] * 99}
    sentence = chance_sentence(screening_document(make_screening(p_value=0.01, settings=settings)))
    assert sentence.startswith("None of the 99 authentic scans")
    assert "at most about 1 of 100 cases" in sentence


def test_the_chance_is_said_once_with_the_scans_compared_and_the_alarm(make_clear):
    reasons = (
        "About 60 of 100 authentic scans score as high (27 authentic patients compared); the alarm is at 5.",
        "With 27 authentic patients the true alarm rate behind 0.05 lies between 0.01 and 0.13.",
    )
    document = screening_document(make_clear(reasons=reasons, settings={"calibration_scores": [1.0] * 27}))
    assert headline(document).chance == (
        "An authentic scan would score this high in about 60 of 100 cases (27 authentic scans compared); "
        "the alarm is at 5 of 100."
    )
    assert further_reasons(document) == list(reasons[1:])


def test_an_abstained_scan_keeps_all_reasons(abstained):
    document = screening_document(abstained)
    assert further_reasons(document) == document.reasons != []


@pytest.mark.parametrize(
    ("probability", "words"),
    [
        (1.0, "100 of 100"),
        (0.02, "2 of 100"),
        (1 / 101, "1 of 100"),
        (0.004, "4 of 1000"),
        (0.00012, "1 of 10000"),
        (1e-9, "fewer than 1 of 100000"),
    ],
)
def test_chance_in_words(probability, words):
    assert chance_in_words(probability) == words


def test_missing_numbers_are_dashes():
    assert (p_in_words(None), score_in_words(None)) == ("-", "-")


def test_numbers_are_short():
    assert (p_in_words(0.012345), score_in_words(12.345), size_in_words((9.4, 24, 22.6))) == (
        "0.012",
        "12.3",
        "9 x 24 x 23 mm",
    )


def test_measured_slices_are_counted(suspicious, abstained):
    assert measured_slices(screening_document(suspicious)) == 9
    assert measured_slices(screening_document(abstained)) == 0


@pytest.mark.parametrize("settings", [{}, {"calibration_scores": None}, {"calibration_scores": ["a", None]}])
def test_missing_calibration_scores_are_none_at_all(settings, make_screening):
    assert calibration_scores(screening_document(make_screening(settings=settings))) == []


def test_limits_go_by_modality():
    assert limits_of("CT") == LIMITS
    assert "lungs" not in " ".join(limits_of("MR"))
    assert "MR of a few patients" in " ".join(limits_of("MR"))
    assert len(limits_of("MR")) == len(LIMITS)
