from __future__ import annotations

import numpy as np
import pytest

from tamperscan.detect.centring import FEATURES
from tamperscan.detect.findings import Peak
from tamperscan.detect.heads import PlaceEvidence
from tamperscan.detect.scan_evidence import ScanEvidence
from tamperscan.detect.typicality import Evidence

from .phantom import scan_of

SLICES, SIDE = 5, 80


@pytest.fixture
def collected():
    """Five slices of 8 mm, the third of which has a place that stands out."""
    found = ScanEvidence(scan_of(np.zeros((SLICES, SIDE, SIDE)), spacing_mm=(8.0, 1.0, 1.0)))
    grid = (SIDE // found.step,) * 2
    for index in range(SLICES):
        suspicion = np.ones(grid, dtype=np.float32)
        z = np.zeros((len(FEATURES), *grid), dtype=np.float32)
        odds = np.full(grid, -4.0, dtype=np.float32)
        if index == 2:
            suspicion[10, 12], z[0, 10, 12], odds[10, 12] = 9.0, 6.0, 3.0
        z[:, 0, 0] = np.nan
        region = np.ones((SIDE, SIDE), dtype=bool)
        found.add(index, PlaceEvidence(suspicion, Evidence(suspicion, z, z / 3), odds), region)
    return found


def test_neighbouring_slices_share_their_evidence(collected):
    places = collected.pooled()
    assert np.unravel_index(np.argmax(places), places.shape) == (2, 10, 12)
    assert 9.0 > places[2, 10, 12] > places[1, 10, 12] > 1.0
    assert places[0, 0, 0] == pytest.approx(1.0)


def test_a_finding_tells_both_kinds_of_evidence(collected):
    finding = collected.describe(Peak((2, 10, 12), 9.0, (1, 9, 11), (3, 11, 13)), 0.03)
    assert finding.centre == (2, collected.pixel(10), collected.pixel(12))
    assert finding.size_mm == (24.0, 3 * collected.step, 3 * collected.step)
    assert finding.slice_range == (1, 3)
    assert finding.sign == "too noisy"
    assert "log-odds that the texture here was altered are +3.0" in finding.evidence
    assert "+6.0 standard deviations" in finding.evidence


def test_a_place_of_typical_noise_has_an_unusual_texture_only(collected):
    finding = collected.describe(Peak((2, 5, 5), 1.0, (2, 5, 5), (2, 5, 5)), 0.5)
    assert finding.sign == "unusual texture"


def test_a_place_that_typicality_could_not_judge_is_told_by_its_odds(collected):
    finding = collected.describe(Peak((2, 0, 0), 1.0, (2, 0, 0), (2, 0, 0)), 0.5)
    assert finding.sign == "unusual texture"
    assert "standard deviations" not in finding.evidence


def test_the_map_of_the_scan_is_zero_where_nothing_was_measured():
    found = ScanEvidence(scan_of(np.zeros((3, SIDE, SIDE)), spacing_mm=(2.0, 1.0, 1.0)))
    grid = (SIDE // found.step,) * 2
    region = np.zeros((SIDE, SIDE), dtype=bool)
    region[20:60, 20:60] = True
    found.add(1, PlaceEvidence(np.full(grid, 2.0, dtype=np.float32), odds=np.zeros(grid, dtype=np.float32)), region)
    full = found.enlarged(found.pooled())
    assert not full[0].any()
    np.testing.assert_allclose(full[1][region], 2.0)
    assert not full[1][~region].any()
