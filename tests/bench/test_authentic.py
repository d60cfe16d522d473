import math
from types import SimpleNamespace

import pytest

from tamperscan.bench.authentic import (
    ScanOutcome,
    compare_seen,
    count_alarms,
    exact_binomial,
    measure_scans,
    summarise,
)
from tamperscan.bench.document import Provenance
from tamperscan.bench.pages import authentic_page


def outcome(patient, p_value, name="scan"):
    verdict = "abstained" if p_value is None else "suspicious" if p_value <= 0.05 else "clear"
    return ScanOutcome(
        patient,
        name,
        10,
        verdict,
        1.0,
        p_value,
        "GE LightSpeed",
        2.5,
        "" if p_value else "No lung.",
        "STANDARD",
        "soft",
    )


def test_alarms_are_counted_at_or_under_the_level():
    counted = count_alarms([outcome("a", 0.05), outcome("b", 0.06), outcome("c", 0.5), outcome("d", 0.01)], 0.05)
    assert (counted.alarms, counted.scans, counted.by_scan.value) == (2, 4, 0.5)


def test_patients_count_alike():
    scans = [outcome("a", 0.01), outcome("a", 0.01), outcome("a", 0.01), outcome("b", 0.9)]
    counted = count_alarms(scans, 0.05)
    assert (counted.by_scan.value, counted.by_patient.value) == (0.75, 0.5)


def test_abstained_scans_are_no_false_alarms():
    assert count_alarms([outcome("a", None), outcome("b", 0.9)], 0.05).scans == 1


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"), [(0, 10, 0.0, 0.3085), (10, 10, 0.6915, 1.0), (1, 20, 0.0013, 0.2487)]
)
def test_exact_interval_of_clopper_and_pearson(hits, count, low, high):
    found = exact_binomial(hits, count)
    assert (found.value, found.low, found.high) == pytest.approx((hits / count, low, high), abs=1e-4)


def test_no_scans_at_all():
    assert math.isnan(count_alarms([], 0.05).by_scan.value)


def test_whole_scans_are_screened(detector, authentic):
    outcomes = measure_scans(detector, authentic)
    assert [(one.patient, one.name) for one in outcomes] == [("p1", "s1"), ("p2", "s2"), ("p3", "s3")]
    assert [one.slices for one in outcomes] == [2, 1, 2]


def test_seen_patients_that_score_lower_are_noticed():
    effect = compare_seen({"a": [1.0, 2.0], "b": [1.5]}, {"c": [3.0], "d": [4.0, 5.0], "e": [1.2]})
    assert (effect.seen, effect.unseen) == (2, 3)
    assert effect.auc.value == pytest.approx((1 + 1 + 0.25) / 3)
    assert (effect.seen_median, effect.unseen_median) == (1.5, 3.0)


def test_the_page_lists_every_scan(calibration):
    subject = SimpleNamespace(name="bright", weights=SimpleNamespace(sha256="0" * 64), calibration=calibration)
    scans = [outcome("a", 0.5, "first"), outcome("b", 0.01, "second"), outcome("c", None, "third")]
    seen = compare_seen({"a": [1.0]}, {"b": [2.0]})
    page = authentic_page(summarise(subject, scans, seen=seen), Provenance("tamperscan bench authentic", ""))
    assert page.index("second") < page.index("first") < page.index("third")
    assert "1 of 2" in page
    assert "GE LightSpeed | soft | 3 (3) | 1 | 0.50 [0.01, 0.99]" in page
    assert "STANDARD (soft)" in page
    assert "AUC 1.00" in page
    assert "- 1 x No lung." in page
