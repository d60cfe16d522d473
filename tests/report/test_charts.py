import pytest

from tamperscan.detect.results import SliceResult
from tamperscan.report.charts import _runs, alarm_threshold, comparison_figure, slices_figure
from tamperscan.report.schema import screening_document


def p_value(score, scores):
    return (1 + sum(other >= score for other in scores)) / (len(scores) + 1)


@pytest.mark.parametrize("alarm_rate", [0.01, 0.05, 0.2, 1.0])
def test_alarm_threshold_agrees_with_the_p_value(alarm_rate):
    scores = [float(score) for score in range(99)]
    threshold = alarm_threshold(scores, alarm_rate)
    assert p_value(threshold + 0.5, scores) <= alarm_rate + 1e-12
    if threshold > 0:
        assert p_value(threshold, scores) > alarm_rate


def test_too_few_scans_support_no_alarm():
    assert alarm_threshold([1.0] * 10, 0.05) is None
    assert alarm_threshold([], 1.0) is None


def test_slices_are_drawn(suspicious):
    assert slices_figure(screening_document(suspicious)).startswith(b"\x89PNG")


def test_slices_are_drawn_with_a_stated_threshold(suspicious, make_screening):
    plain = slices_figure(screening_document(suspicious))
    limited = make_screening(settings={"slice_threshold": 4.0})
    assert slices_figure(screening_document(limited)) != plain


@pytest.mark.parametrize("score", [1.0, float("nan")])
def test_a_single_slice_can_be_drawn(score, make_screening):
    screening = make_screening(slices=(SliceResult(0, score, None, None),), findings=())
    assert slices_figure(screening_document(screening)).startswith(b"\x89PNG")


def test_runs_of_indices():
    assert _runs([0, 1, 2, 5, 7, 8]) == [(0, 2), (5, 5), (7, 8)]
    assert _runs([]) == []


def test_comparison_is_drawn(suspicious):
    assert comparison_figure(screening_document(suspicious)).startswith(b"\x89PNG")


@pytest.mark.parametrize("scores", [None, [], [1.0]])
def test_no_comparison_without_calibration_scores(scores, make_clear):
    screening = make_clear(settings={"calibration_scores": scores})
    assert comparison_figure(screening_document(screening)) is None


def test_no_comparison_where_the_detector_abstained(abstained):
    assert comparison_figure(screening_document(abstained)) is None
