from __future__ import annotations

import numpy as np
import pytest

from tamperscan.bench.explain.pairs import compare, forged_pairs

from .conftest import chest, scan_of

REMOVE = {"smooth": ("remove",)}


@pytest.fixture(scope="module")
def pairs():
    patients = [(f"p{seed}", scan_of(chest(seed), name=f"s{seed}")) for seed in range(2)]
    skipped = {}
    return forged_pairs(patients, REMOVE, skipped=skipped), skipped


def test_before_and_after_differ_where_it_was_forged(pairs):
    for pair in pairs[0]:
        assert pair.changed[pair.before.place]
        assert np.array_equal(pair.before.hu != pair.after.hu, pair.changed)
        assert pair.after.kind == "smooth remove"
    assert [pair.before.group for pair in pairs[0]] == ["p0", "p1"]


def test_smoothing_takes_noise_away(pairs, predict):
    (result,) = compare(pairs[0], predict, levels_hu=(15.0,))
    assert (result.method, result.action, result.places, result.patients) == ("smooth", "remove", 2, 2)
    assert result.times[0].high < 0.5
    assert result.spectrum.places == 2
    assert result.standing is None


def test_what_can_not_be_forged_is_told(predict):
    skipped = {}
    solid = [("p", scan_of(np.full((240, 240), 30.0, np.float32), name="solid"))]
    assert forged_pairs(solid, {**REMOVE, "nothing": ("remove",)}, skipped=skipped) == []
    assert set(skipped) == {"nothing", "solid"}
    assert compare([], predict) == ()
