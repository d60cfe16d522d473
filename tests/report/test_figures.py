import io

import numpy as np
import pytest
from PIL import Image

from tamperscan.report.figures import (
    LUNG_WINDOW_HU,
    display_window,
    edge_labels,
    finding_figure,
    suspicion_range,
)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def picture(screening, finding):
    return finding_figure(screening, finding, suspicion_range(screening))


def test_finding_figure_has_the_stated_size(suspicious):
    assert pixels(picture(suspicious, suspicious.findings[0])).shape == (690, 1500, 3)


def test_finding_figure_is_reproducible(suspicious):
    first, second = (picture(suspicious, suspicious.findings[0]) for _ in range(2))
    assert first == second


def test_finding_figure_rings_the_place(suspicious):
    image = pixels(picture(suspicious, suspicious.findings[0]))[:, :600]
    ring = np.abs(image - (0x56, 0xB4, 0xE9)).sum(axis=-1) < 30
    rows, columns = np.nonzero(ring)
    # Slice 80 x 96 voxels fills the panel's height of about 595 px from y = 48; the place is at row 44 of 96.
    assert rows.mean() == pytest.approx(48 + 44.5 / 96 * 590, abs=12)
    assert columns.mean() > 300


def test_row_0_is_on_top(make_screening, make_scan, make_finding):
    voxels = np.full((1, 64, 64), -1350, np.float32)
    voxels[:, :16] = 150
    scan = make_scan(voxels=voxels, sources=())
    nothing = np.zeros(voxels.shape)
    screening = make_screening(scan=scan, regions=nothing.astype(bool), suspicion=nothing.astype(np.float32), slices=())
    image = pixels(picture(screening, make_finding(centre=(0, 40, 40))))
    assert image[100, 100].min() > 200
    assert image[500, 100].max() < 60


@pytest.mark.parametrize("centre", [(0, 0, 0), (11, 95, 79)])
def test_finding_at_the_edge_can_be_drawn(suspicious, centre, make_finding):
    assert picture(suspicious, make_finding(centre=centre)).startswith(b"\x89PNG")


def test_ct_is_shown_in_the_lung_window(suspicious):
    assert display_window(suspicious.scan) == LUNG_WINDOW_HU


def test_mr_is_shown_by_percentiles(make_scan):
    voxels = np.linspace(0, 1000, 4 * 64 * 64, dtype=np.float32).reshape(4, 64, 64)
    low, high = display_window(make_scan(voxels=voxels, modality="MR"))
    assert 0 < low < 50
    assert 950 < high < 1000


def test_empty_mr_has_a_window(make_scan):
    low, high = display_window(make_scan(voxels=np.zeros((1, 8, 8), np.float32), modality="MR"))
    assert low < high


def test_suspicion_range_spans_median_to_highest(suspicious):
    low, high = suspicion_range(suspicious)
    assert low == pytest.approx(1.0, abs=0.2)
    assert high == pytest.approx(7.0, abs=0.1)


def test_the_range_is_found_without_changing_the_map(suspicious):
    before = suspicious.suspicion.copy()
    suspicion_range(suspicious)
    np.testing.assert_array_equal(suspicious.suspicion, before)


def test_suspicion_range_of_nothing_is_not_empty(abstained):
    low, high = suspicion_range(abstained)
    assert low < high


def test_edge_labels_of_an_axial_scan(lps_affine):
    assert edge_labels(lps_affine) == ("R", "L", "A", "P")


def test_edge_labels_of_a_sagittal_scan():
    columns_run_posterior, rows_run_down = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([[1.0, 0.0, 0.0], rows_run_down, columns_run_posterior])
    assert edge_labels(affine) == ("A", "P", "H", "F")


def test_edge_labels_are_empty_without_an_affine():
    assert edge_labels(np.eye(4)) == ("", "", "", "")
