from __future__ import annotations

import pytest

from tamperscan.bench.explain.zones import ZONES_MM, attributions, reach_mm, summarise

from .conftest import chest, noise, subject_of


@pytest.fixture(scope="module")
def compared(plain_predictor):
    subjects = [subject_of(chest(seed, noise(50 + seed, strength=75.0)), group=str(seed)) for seed in range(2)]
    return attributions(subjects, plain_predictor, nodes=6)


def test_healthy_places_lie_far_from_the_tampering(compared):
    for each in compared:
        assert 1 <= len(each.healthy) <= 2
        for place, one in each.healthy:
            assert max(abs(a - b) for a, b in zip(place, each.subject.place, strict=True)) > 20
            assert one.window.any()


def test_strong_noise_is_found_in_the_core(compared, plain_predictor):
    result = summarise(compared, plain_predictor)
    by_zone = {row.zone: row for row in result.zones if row.tissue == "parenchyma"}
    assert list(by_zone) == list(ZONES_MM)
    assert by_zone["core"].energy.value > by_zone["outside"].energy.value
    assert by_zone["core"].attribution.value > 1.2
    assert by_zone["core"].density.value > by_zone["core"].healthy_density.value
    assert result.windows == sum(1 + len(each.healthy) for each in compared)


def test_soft_tissue_that_is_not_there_is_not_told(compared, plain_predictor):
    soft = next(row for row in summarise(compared, plain_predictor).zones if row.tissue == "soft")
    assert soft.places == 0
    assert soft.energy.value != soft.energy.value


def test_the_network_looks_no_farther_than_it_can(compared, plain_predictor):
    half, most = reach_mm(compared[0].subject, plain_predictor)
    assert 0 <= half <= most < 12


def test_nothing_compared(plain_predictor):
    assert attributions([], plain_predictor) == []
    assert summarise([], plain_predictor) is None
