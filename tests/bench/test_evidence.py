from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.evidence_forms import Standardised, by_distance, mahalanobis, neighbours, one_size, over_sizes
from tamperscan.bench.evidence_measuring import SIZES_MM, StudySlice, jacobian_diagonal
from tamperscan.bench.evidence_page import evidence_page
from tamperscan.bench.evidence_run import PACKAGED, EvidenceResult, judge
from tamperscan.detect.statistics import COVARIATES, WindowStatistics

SIDE = 14
PLACE = (4, 9)


def study_slice(seed, group, kind=None):
    """Windows of a slice; a tampered one has more energy about a place."""
    rng = np.random.default_rng(seed)
    energy, whiteness = rng.normal(0, 0.1, (2, 3, SIDE, SIDE)).astype(np.float32)
    rows, columns = np.indices((SIDE, SIDE))
    away = 3.0 * np.hypot(rows - PLACE[0], columns - PLACE[1]).astype(np.float32)
    if kind is not None:
        energy[:, away < 8.0] += 2.0
    covariates = rng.normal(0, 0.1, (len(COVARIATES), SIDE, SIDE)).astype(np.float32)
    measured = WindowStatistics(energy, whiteness, covariates, np.ones((SIDE, SIDE), dtype=bool))
    trace = rng.normal(0, 0.1, (3, SIDE, SIDE)).astype(np.float32)
    by_size, traces = dict.fromkeys(SIZES_MM, measured), dict.fromkeys(SIZES_MM, trace)
    return StudySlice(group, kind, (1.0, 1.0), None if kind is None else away, by_size, traces)


@pytest.fixture(scope="module")
def slices():
    authentic = [study_slice(seed, f"patient {seed // 2}") for seed in range(20)]
    return [*authentic, study_slice(90, "a", "FB"), study_slice(91, "b", "FM")]


@pytest.fixture(scope="module")
def scores(slices):
    return Standardised(slices)


def test_each_way_finds_a_place_with_more_energy(slices, scores):
    ways = [one_size(scores), one_size(scores, chosen="with trace"), over_sizes(scores, "max")]
    ways += [by_distance(scores, mahalanobis), by_distance(scores, neighbours)]
    for maps in ways:
        for figures in judge(slices, maps).values():
            assert (figures.auc.value, figures.localised.value) == (1.0, 1.0)
            assert figures.within.value > 0.99


def test_a_slice_without_tampering_is_not_told_from_the_others(slices):
    flat = [np.asarray(np.indices((SIDE, SIDE))[0], np.float32) for _ in slices]
    for figures in judge(slices, flat).values():
        assert (figures.auc.value, figures.localised.value) == (0.5, 0.0)


def test_authentic_patients_are_judged_by_what_was_fitted_without_them(slices, scores):
    folds = {scores.fold_of(each) for each in slices if each.kind is None}
    assert folds == set(range(5))
    for each in slices[:20]:
        assert each.group not in scores.patients_without(scores.fold_of(each))
    assert len(scores.patients_without(scores.fold_of(slices[-1]))) == 10


def test_flow_finds_far_values_less_likely_than_near_ones():
    pytest.importorskip("torch")
    from tamperscan.bench.evidence_flow import fit_flow

    rng = np.random.default_rng(0)
    unlikely = fit_flow(rng.normal(size=(4000, 4)))
    near, far = unlikely(rng.normal(size=(50, 4))), unlikely(rng.normal(size=(50, 4)) + 5.0)
    assert near.max() < far.min()


def test_diagonal_of_a_linear_predictor_is_its_factor():
    factors = np.array([0.2, 0.6], np.float32)
    meter = SimpleNamespace(predict=lambda shown: factors[:, None, None] * shown)
    shown = np.random.default_rng(1).normal(size=(20, 30)).astype(np.float32)
    look = SimpleNamespace(shown=shown, noise=meter.predict(shown))
    diagonal = jacobian_diagonal(meter, look, np.random.default_rng(2))
    assert diagonal.shape == shown.shape
    assert np.allclose(diagonal, 0.4, atol=1e-3)


def test_page_has_a_row_for_each_way(slices, scores):
    figures = judge(slices, one_size(scores))
    result = EvidenceResult("0" * 64, 10, 20, {"FB": 1, "FM": 1}, {PACKAGED: figures, "another": figures})
    page = evidence_page(result, Provenance("tamperscan bench evidence", "abc"))
    assert f"| {PACKAGED} | 1.00 [1.00, 1.00] |" in page
    assert "| another | 1.00" in page
    assert "10 to 62 mm" in " ".join(page.split())
