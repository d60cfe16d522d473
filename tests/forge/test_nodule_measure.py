from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamperscan import read_scan
from tamperscan.errors import ForgeError
from tamperscan.forge.grain import texture
from tamperscan.forge.lesions import Lesion, known_lesions
from tamperscan.forge.nodule_measure import measure_nodule, measure_nodules
from tamperscan.forge.nodule_statistics import packaged_statistics

from .tissue import WALL_HU, distance_mm, lung_scan

LESION = Lesion(10, 48, 40, 28.0, (4, 16), readers=1)
BALL = (10, 48, 40, 28.0)


@pytest.fixture(scope="module")
def scan():
    return lung_scan(balls=[BALL], noise_hu=12.0)


def test_the_density_and_the_size_of_a_nodule_are_measured(scan):
    figures = measure_nodule(scan, LESION)
    assert figures.density_hu == pytest.approx(WALL_HU, abs=3)
    assert figures.diameter_mm == 28.0
    assert figures.irregularity < 0.05
    assert figures.edge_mm < 0.4


def test_texture_is_told_from_noise(scan):
    plain = measure_nodule(scan, LESION)
    added = 30 * texture(scan.shape, (0.1, 4.0, 4.0), np.random.default_rng(1))
    inside = distance_mm(scan.shape, BALL[:3], scan.spacing_mm) < 13
    rough = measure_nodule(replace(scan, voxels=scan.voxels + added * inside), LESION)
    assert plain.texture_hu < 12 < rough.texture_hu
    assert rough.texture_hu == pytest.approx(30, rel=0.35)
    assert rough.correlation_mm == pytest.approx(4.0, abs=1.1)


def test_small_nodules_have_no_core_and_are_left_out(scan):
    small = replace(LESION, diameter_mm=5.0)
    assert measure_nodule(scan, small) is None
    assert len(measure_nodules([(scan, [small, LESION])])) == 1
    with pytest.raises(ForgeError, match="large enough"):
        measure_nodules([(scan, [small])])


def test_the_packaged_figures_can_be_measured_again(real_scans):
    scan = read_scan(real_scans / "ct" / "series" / "LIDC-IDRI-0001_STANDARD")
    measured = measure_nodules([(scan, known_lesions(scan))])[0]
    packaged = next(nodule for nodule in packaged_statistics() if nodule.scan == scan.name)
    assert measured.sha256 == packaged.sha256
    assert measured.density_hu == pytest.approx(packaged.density_hu)
    assert measured.texture_hu == pytest.approx(packaged.texture_hu, abs=1e-2)
