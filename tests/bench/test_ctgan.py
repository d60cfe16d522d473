import json
import math
from dataclasses import replace

import pytest

from tamperscan.bench.ctgan import Subject, evaluate
from tamperscan.bench.document import Provenance, plain
from tamperscan.bench.labels import is_development, read_labels
from tamperscan.bench.pages import ctgan_page
from tamperscan.bench.slices import measure_authentic, measure_tampered

from .conftest import Blind


@pytest.fixture
def measured(detector, ctgan_folder, authentic):
    tampered = measure_tampered(detector, Blind(), ctgan_folder, read_labels(ctgan_folder))
    return tampered, measure_authentic(detector, Blind(), authentic)


@pytest.fixture
def subject(calibration):
    return Subject("bright", "blind", "0" * 64, calibration)


def group(result, kind, half="all"):
    return next(each for each in result.groups if (each.kind, each.half) == (kind, half))


def test_removals_are_found(subject, measured):
    found = group(evaluate(subject, *measured), "FB")
    assert (found.slices, found.scans, found.measured) == (4, 2, 4)
    for perfect in (found.auc, found.localised, found.within, found.placed, found.flagged_slices, found.flagged_scans):
        assert perfect.value == 1.0
    assert [rate.value for rate in found.true_positives] == [1.0, 1.0]
    assert found.reference.value == 0.5
    assert found.verdicts == {"suspicious": 4}
    assert found.signs == {"too noisy": 4}


def test_injections_are_not(subject, measured):
    found = group(evaluate(subject, *measured), "FM")
    assert found.localised.value == 0.0
    assert found.flagged_slices.value == 0.0
    assert found.signs == {"no finding": 2}


def test_the_rest_of_tampered_slices_is_like_authentic_ones(subject, measured):
    assert 0.1 < group(evaluate(subject, *measured), "FB").control.value < 0.9


def test_thresholds_come_from_the_calibration(subject, measured):
    result = evaluate(subject, *measured)
    assert [limit.score for limit in result.thresholds] == [20.0, 19.0]
    assert result.thresholds[0].patients == 3
    assert result.thresholds[0].observed.value == 0.0
    assert result.calibration_patients == 20


def test_patients_count_alike_in_false_alarms(subject, measured):
    tampered, authentic = measured
    loud = [replace(one, score=30.0) if one.group == "p2" else one for one in authentic]
    limit = evaluate(subject, tampered, loud).thresholds[0]
    assert limit.observed.value == pytest.approx(1 / 3)
    assert limit.patients_above == 1


def test_what_has_no_score_is_left_out_and_told(subject, measured):
    result = evaluate(subject, *measured)
    assert (result.authentic_slices, result.authentic_measured, result.authentic_patients) == (5, 4, 3)
    assert result.left_out == {"No lung was found.": 1}


def test_places_that_can_not_be_scored_count_as_missed(subject, measured):
    tampered, authentic = measured
    tampered = [replace(one, slice=replace(one.slice, placed=math.nan)) for one in tampered]
    found = group(evaluate(subject, tampered, authentic), "FB")
    assert (found.unplaced, found.placed.value) == (4, 0.0)


def test_halves_are_told_apart(subject, measured):
    result = evaluate(subject, *measured)
    for kind in ("FB", "FM"):
        counts = {each.half: each.slices for each in result.groups if each.kind == kind}
        assert counts["all"] == counts.get("development", 0) + counts.get("reserved", 0)
    scans = [one.label.scan for one in measured[0] if one.label.kind == "FM" and is_development(one.label.scan)]
    assert sum(each.slices for each in result.groups if (each.kind, each.half) == ("FM", "development")) == len(scans)


def test_a_detector_without_calibration_has_no_thresholds(subject, measured):
    result = evaluate(replace(subject, calibration=None), *measured)
    assert result.thresholds == ()
    assert "not calibrated" in ctgan_page(result, Provenance("tamperscan bench ctgan", ""))


def test_the_page_tells_what_matters(subject, measured):
    result = evaluate(replace(subject, not_held_out=("s1",)), *measured)
    page = ctgan_page(result, Provenance("tamperscan bench ctgan", "abc1234"))
    for words in ("`tamperscan bench ctgan`", "abc1234", "1.00 [1.00, 1.00]", "**Not held out:**", "1 x No lung"):
        assert words in page
    assert "no tampered slice was used in training" in page.lower()
    assert "nan" not in page


def test_results_are_json(subject, measured):
    text = json.dumps(plain(evaluate(subject, *measured)), allow_nan=False)
    assert json.loads(text)["groups"][0]["auc"]["value"] == 1.0
