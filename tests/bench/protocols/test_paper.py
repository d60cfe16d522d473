import math
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.bench.protocols.paper import measure_paper

from .made import authentic, evidence, healthy, nodule, scored, tampered


def removals(count, generator="gan"):
    return [tampered(f"{generator}{index}", f"p{index}", generator=generator) for index in range(count)]


def scans(count, *targets):
    return [authentic(f"a{index}", f"q{index}", targets) for index in range(count)]


def measured(forged, real, scores):
    """``scores``: contender to (scores of the tampered places, scores of the authentic places)."""
    told = {
        name: [scored(case, places=[value]) for case, value in zip([*forged, *real], [*first, *second], strict=True)]
        for name, (first, second) in scores.items()
    }
    return measure_paper(evidence([*forged, *real], told))


def test_perfect_reversed_and_blind_contenders():
    low, high = range(6), range(6, 12)
    told = {"ours": (high, low), "reversed": (low, high), "blind": ([1] * 6, [1] * 6)}
    result = measured(removals(6), scans(6, healthy()), told)
    (column,) = result.columns
    assert {name: figure.estimate.value for name, figure in column.auc.items()} == {
        "ours": 1.0,
        "reversed": 0.0,
        "blind": 0.5,
    }
    assert column.auc["reversed"].gap.value == -1.0
    assert column.auc["reversed"].differs
    assert (column.places, column.patients, column.authentic_places, column.left_out) == (6, 6, 6, 0)


def test_a_random_contender_is_not_told_from_chance():
    generator = np.random.default_rng(4)
    (column,) = measured(removals(40), scans(40, healthy()), {"ours": generator.normal(size=(2, 40))}).columns
    figure = column.auc["ours"].estimate
    assert figure.low < 0.5 < figure.high


def test_injection_is_compared_with_real_nodules_alone():
    forged = [tampered("f", "p", "inject"), tampered("g", "r", "inject")]
    real = scans(2, nodule(), healthy())
    told = {
        "ours": [scored(case, places=[2.0]) for case in forged] + [scored(case, places=[1.0, 9.0]) for case in real]
    }
    (column,) = measure_paper(evidence([*forged, *real], told)).columns
    assert column.auc["ours"].estimate.value == 1.0
    assert column.authentic_places == 2


def test_a_missing_score_is_the_least_suspicious_and_told():
    result = measured(removals(2), scans(2, healthy()), {"ours": ([math.nan, 5], [1, 1]), "other": ([2, 2], [1, 1])})
    (column,) = result.columns
    assert column.auc["ours"].estimate.value == 0.5
    assert (column.auc["ours"].missing, column.auc["other"].missing) == (1, 0)
    assert column.left_out == 0


def test_a_place_that_none_can_score_is_left_out():
    result = measured(removals(2), scans(2, healthy()), {"ours": ([math.nan, 5], [1, 1]), "b": ([math.nan, 2], [1, 3])})
    (column,) = result.columns
    assert (column.places, column.left_out) == (1, 1)
    assert column.auc["ours"].estimate.value == 1.0


def test_without_authentic_places_nothing_is_measured():
    (column,) = measured(removals(2), scans(1), {"ours": ([1, 2], [0])}).columns
    assert math.isnan(column.auc["ours"].estimate.value)


def test_patients_count_alike():
    """Nine places of one patient are found, the one place of another is not."""
    forged = [tampered(f"f{index}", "p") for index in range(9)] + [tampered("g", "r")]
    real = scans(2, healthy())
    (column,) = measured(forged, real, {"ours": ([5] * 9 + [0], [1, 1])}).columns
    assert column.auc["ours"].estimate.value == 0.5


def test_the_mean_counts_generators_alike():
    forged = removals(3, "gan") + removals(1, "smooth")
    result = measured(forged, scans(2, healthy()), {"ours": ([5, 5, 5, 0], [1, 1])})
    (average,) = result.averages
    assert average.auc["ours"].estimate.value == pytest.approx(0.5)
    assert average.generators == ("gan", "smooth")
    assert average.paper == 0.96


def test_means_of_several_modalities():
    forged, real = removals(2), scans(2, healthy())
    everything = [*forged, *real]
    shifted = [replace(case, name=f"mr{case.name}", modality="MR") for case in everything]
    told = {"ours": [scored(case, places=[value]) for case, value in zip(everything, (5, 5, 1, 1), strict=True)]}
    told["ours"] += [scored(case, places=[value]) for case, value in zip(shifted, (0, 0, 1, 1), strict=True)]
    result = measure_paper(evidence([*everything, *shifted], told))
    assert [(one.modality, one.auc["ours"].estimate.value) for one in result.averages] == [
        ("CT", 1.0),
        ("MR", 0.0),
        ("", 0.5),
    ]


def test_nothing_tampered():
    result = measure_paper(evidence(scans(2, healthy()), {"ours": []}))
    assert result.columns == ()
    assert result.averages == ()
