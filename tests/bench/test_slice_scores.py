import math

import numpy as np
import pytest

from tamperscan.bench.grids import grid_of
from tamperscan.bench.metrics import auc
from tamperscan.bench.slice_scores import find_peaks, pixel_auc, score_slice

REGION = np.ones((240, 240), bool)
GRID = grid_of(REGION, (1.0, 1.0))


def hills(*places):
    rows, columns = np.indices(GRID.nodes.shape)
    values = np.zeros(GRID.nodes.shape, np.float32)
    for row, column, height in places:
        at = GRID.node(row, column)
        values += height * np.exp(-np.hypot(rows - at[0], columns - at[1]) / 2).astype(np.float32)
    return np.where(GRID.nodes, values, np.nan)


def score(values, **changes):
    told = {"near": [], "all_places": [], "name": "scan 3", **changes}
    return score_slice(values, GRID, 3, **told)


def test_the_score_is_the_highest_place_and_the_first_peak():
    found = score(hills((60, 60, 3.0), (160, 170, 5.0)))
    assert found.score == found.peaks[0].score == pytest.approx(5.0, abs=0.1)
    assert abs(found.peaks[0].row - 160) <= 2
    assert abs(found.peaks[0].column - 170) <= 2
    assert found.peaks[0].slice == found.index == 3


def test_peaks_keep_their_distance():
    rng = np.random.default_rng(0)
    peaks = find_peaks(np.where(GRID.nodes, rng.random(GRID.nodes.shape), np.nan).astype(np.float32), GRID, 0)
    assert len(peaks) == 10
    assert [peak.score for peak in peaks] == sorted((peak.score for peak in peaks), reverse=True)
    apart = [math.dist((a.row, a.column), (b.row, b.column)) for a in peaks for b in peaks if a is not b]
    assert min(apart) > 16


def test_the_rest_is_far_from_every_known_place():
    values = hills((60, 60, 9.0), (70, 80, 5.0), (200, 200, 2.0))
    found = score(values, near=[(60, 60)], all_places=[(60, 60)])
    assert found.score > 8
    assert found.rest == pytest.approx(2.0, abs=0.1)
    assert found.tampered
    untouched = score(values, all_places=[(60, 60), (200, 200)])
    assert untouched.rest < 2
    assert not untouched.tampered


def test_an_authentic_slice_loses_a_place_drawn_at_random():
    values = hills(
        *((row, column, 1.0 + (row + column) / 1000) for row in range(20, 240, 40) for column in range(20, 240, 40))
    )
    rests = {score(values, name=f"scan {number}").rest for number in range(120)}
    assert len(rests) > 1
    assert score(values, name="a").rest == score(values, name="a").rest
    assert math.isnan(score(values).within)


@pytest.mark.parametrize(("height", "rank"), [(9.0, 1.0), (-9.0, 0.0)])
def test_within_ranks_the_tampered_place(height, rank):
    values = hills((60, 60, height), (160, 160, 1.0))
    found = score(values, near=[(60, 60)], all_places=[(60, 60)])
    assert found.within == pytest.approx(rank, abs=0.02)


def test_a_slice_with_nothing_to_look_at_has_no_score():
    nothing = grid_of(np.zeros((240, 240), bool), (1.0, 1.0))
    found = score_slice(np.full(nothing.nodes.shape, np.nan, np.float32), nothing, 0, near=[], all_places=[], name="x")
    assert math.isnan(found.score)
    assert math.isnan(found.rest)
    assert found.peaks == ()


def test_pixel_auc_is_the_area_under_the_curve():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 6, 300).astype(np.float32)
    tampered = rng.random(300) < 0.2
    assert pixel_auc(values, tampered) == pytest.approx(auc(values[tampered], values[~tampered]))
    assert math.isnan(pixel_auc(values, np.zeros(300, bool)))
    assert math.isnan(pixel_auc(values, np.ones(300, bool)))
