from __future__ import annotations

import time

import numpy as np
import pydicom
import pytest

from tamperscan.errors import ScanError
from tamperscan.scan import iter_scans, read_scan, read_scans


def outcome(path):
    """What one file gives: its scans, or the ScanError."""
    try:
        return read_scans(path)
    except ScanError as error:
        return error


def test_every_odd_file_gives_a_scan_or_a_reason(real_scans):
    slowest = 0.0
    for path in sorted((real_scans / "odd").iterdir()):
        start = time.monotonic()
        result = outcome(path)
        slowest = max(slowest, time.monotonic() - start)
        if isinstance(result, ScanError):
            assert result.advice
        else:
            assert all(np.isfinite(scan.voxels).all() for scan in result)
    assert slowest < 10


def test_values_are_those_of_pydicom(real_scans):
    for path in sorted((real_scans / "ct" / "singles").iterdir())[::10]:
        image = pydicom.dcmread(path)
        expected = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
        voxels = read_scan(path).voxels[0]
        padding = voxels == -1024
        assert np.allclose(voxels[~padding], expected[~padding], atol=1e-2)
        assert (expected[padding] <= -1024).all()


def test_tampered_slices_with_one_false_header_are_no_volume(real_scans):
    scans = iter_scans(real_scans / "ctgan")
    found = {scan.name: scan.shape for scan in scans}
    expected = {path.stem for path in (real_scans / "ctgan").glob("*.dcm")}
    assert set(found) == expected
    assert set(found.values()) == {(1, 512, 512)}


@pytest.mark.parametrize(
    ("name", "slices", "step"),
    [("ct/series/Lung_Dx-A0002_B40f", 30, 8.0), ("mr/series/1449c1d_SAG_MPRAGE_220_FOV", 192, 0.9)],
)
def test_real_series_are_whole(real_scans, name, slices, step):
    scan = read_scan(real_scans / name)
    assert scan.shape[0] == slices
    assert scan.spacing_mm[0] == pytest.approx(step, abs=1e-3)
    assert scan.warnings == ()


def test_time_points_of_one_series_are_told_apart(real_scans):
    names = {path.name for path in (real_scans / "mr" / "series").iterdir()}
    assert {scan.name for scan in iter_scans(real_scans / "mr" / "series")} == names
