from __future__ import annotations

import math

import numpy as np
import pytest

from tamperscan.bench.explain.levels import HIGH_PASS, published_level_hu, stand_out, sweep

from .conftest import chest, noise, subject_of

LEVELS = (5.0, 20.0)


def planted(strength, kind="FB"):
    return [
        subject_of(chest(seed, noise(50 + seed, strength=strength)), kind=kind, group=str(seed)) for seed in range(3)
    ]


def test_stronger_noise_stands_out(predict):
    one = next(each for each in sweep(planted(60.0), predict, levels_hu=LEVELS) if each.tissue == "parenchyma")
    assert [level.asked for level in one.levels] == ["5 HU", "20 HU"]
    assert one.levels[0].auc.value == 1.0
    assert one.levels[0].z.value > 3
    assert (one.levels[0].above.value, one.levels[0].below.value) == (1.0, 0.0)
    assert one.levels[0].times.value == pytest.approx((60 / 25) ** 2, rel=0.4)


def test_weaker_noise_stands_out_on_the_other_side(predict):
    one = sweep(planted(10.0), predict, levels_hu=LEVELS)[0]
    assert one.levels[1].auc.value == 0.0
    assert one.levels[1].below.value == 1.0
    assert one.levels[1].z.value < -3


def test_the_same_noise_does_not_stand_out(predict):
    subjects = [subject_of(chest(seed), group=str(seed)) for seed in range(8)]
    one = sweep(subjects, predict, levels_hu=LEVELS)[0]
    assert 0.2 < one.levels[0].auc.value < 0.8


def test_a_place_without_the_tissue_is_not_measured(predict):
    found = stand_out(planted(60.0)[0], predict, LEVELS)
    assert found.shape == (4, 2, 3)
    assert found[0, 0, 0] == 1.0
    assert math.isnan(found[0, 1, 0])  # no soft tissue in these lungs


def test_what_lies_below_the_published_window_is_not_seen():
    lowest = {}

    def predict(hu, levels_hu):
        lowest[tuple(levels_hu)] = float(hu.min())
        return np.random.default_rng(0).standard_normal((len(levels_hu), *hu.shape)).astype(np.float32)

    stand_out(planted(60.0)[0], predict, LEVELS)
    assert lowest[LEVELS] <= -1000.0
    assert lowest[published_level_hu(),] == -700.0


def test_the_published_level():
    assert published_level_hu() == pytest.approx(23.4, abs=0.05)


def test_kinds_are_kept_apart(predict):
    found = sweep([*planted(60.0), *planted(10.0, kind="FM")], predict, levels_hu=LEVELS)
    assert [(one.kind, one.tissue) for one in found] == [
        ("FB", "parenchyma"),
        ("FB", "soft"),
        ("FM", "parenchyma"),
        ("FM", "soft"),
    ]
    assert found[0].high_pass.asked == HIGH_PASS
    assert found[1].levels[0].places == 0


def test_nothing_to_sweep(predict):
    assert sweep([], predict) == ()
