from __future__ import annotations

import numpy as np
import pytest
import torch

from tamperscan.bench.explain.attribution import attribute, integrated_gradients, lung_around

from .conftest import PLACE, chest, subject_of


def test_attributions_of_a_square_are_known():
    image, baseline = np.array([[3.0, 1.0]], np.float32), np.array([[1.0, 1.0]], np.float32)
    shared = integrated_gradients(lambda point: (point**2).sum(), image, baseline)
    assert shared == pytest.approx(np.array([[8.0, 0.0]]))  # 9 less 1, and nothing where nothing changes


def test_attributions_of_a_network_are_complete(tiny):
    rng = np.random.default_rng(0)
    image = (-850 + 40 * rng.standard_normal((16, 16))).astype(np.float32)
    baseline = np.full((16, 16), -850.0, np.float32)

    def score(point):
        return tiny.squares(point)[4:12, 4:12].mean()

    difference = float(score(torch.from_numpy(image)) - score(torch.from_numpy(baseline)))
    shared = integrated_gradients(score, image, baseline, nodes=64)
    assert abs(difference) > 1e-3
    assert shared.sum() == pytest.approx(difference, rel=0.02)


def test_one_node_is_not_enough(tiny):
    image = (-850 + 60 * np.random.default_rng(1).standard_normal((16, 16))).astype(np.float32)
    baseline = np.full((16, 16), -850.0, np.float32)
    sums = [
        integrated_gradients(lambda point: tiny.squares(point).mean(), image, baseline, nodes).sum()
        for nodes in (1, 64)
    ]
    assert sums[0] != pytest.approx(sums[1], rel=0.02)


def test_a_place_is_attributed_completely(tiny):
    subject = subject_of(chest())
    found = attribute(subject, tiny, subject.place, nodes=48)
    assert abs(found.gap) < 0.05
    assert found.values.sum() == pytest.approx((found.score - found.baseline) * found.window.sum(), rel=0.05)
    assert np.isnan(found.energy[0, 0])
    assert found.energy[found.window].mean() == pytest.approx(found.score, rel=1e-4)


def test_the_window_keeps_clear_of_other_tampering(tiny):
    image = chest()
    alone = attribute(subject_of(image), tiny, subject_of(image).place, nodes=1)
    subject = subject_of(image)
    other = (subject.place[0] + 30, subject.place[1])
    crowded = attribute(
        type(subject)(**{**vars(subject), "known": (subject.place, other)}), tiny, subject.place, nodes=1
    )
    assert 0 < crowded.window.sum() < alone.window.sum()


def test_no_lung_no_attribution(tiny):
    subject = subject_of(chest())
    assert attribute(subject, tiny, (0, 0), radius_mm=3.0) is None


def test_most_lung_is_in_the_middle_of_a_lung():
    subject = subject_of(chest())
    share = lung_around(type(subject)(**{**vars(subject), "known": ()}))
    assert share[subject.place] > share[5, 5]
    assert subject.place != PLACE  # the part begins where the lungs do
