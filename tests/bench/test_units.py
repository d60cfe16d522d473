import numpy as np

from tamperscan.bench.units import bench_units, region_of
from tamperscan.scan import Scan

from .phantoms import LUNG_AXES, LUNGS, PIXEL_MM, chest, ellipse


def mr(values):
    return Scan(voxels=values, spacing_mm=(1.0, 1.0, 1.0), modality="MR", name="m")


def test_ct_stays_in_hu():
    voxels = np.full((1, 4, 4), -812.0, np.float32)
    assert bench_units(Scan(voxels, (1.0, 1.0, 1.0), "CT", "c")) is voxels


def test_mr_has_its_top_at_1000_whatever_its_scale():
    values = np.random.default_rng(0).gamma(2.0, 50.0, (3, 64, 64)).astype(np.float32)
    first, second = bench_units(mr(values)), bench_units(mr(values * 37))
    np.testing.assert_allclose(np.percentile(first, 99.9), 1000, rtol=1e-3)
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_an_empty_mr_scan_stays_finite():
    assert np.isfinite(bench_units(mr(np.zeros((1, 8, 8), np.float32)))).all()


def test_region_of_mr_is_the_body_with_its_dark_parts():
    image = np.random.default_rng(0).uniform(0, 5, (64, 64)).astype(np.float32)
    image[10:50, 10:50] += 500
    image[25:30, 25:30] = 0
    body = region_of(image, (1.0, 1.0), "MR")
    assert body[27, 27]
    assert body[12, 12]
    assert not body[5, 5]


def test_region_of_ct_is_the_lung():
    truth = ellipse(LUNGS[0], LUNG_AXES) | ellipse(LUNGS[1], LUNG_AXES)
    lung = region_of(chest(), (PIXEL_MM, PIXEL_MM), "CT")
    assert (lung & truth).sum() > 0.9 * max(lung.sum(), truth.sum())
    assert not region_of(np.full((64, 64), -1000, np.float32), (1.0, 1.0), "CT").any()
