from __future__ import annotations

import numpy as np
import pytest

from tamperscan.errors import ScanError
from tamperscan.scan import read_scan

from .dicom_maker import hounsfield


def saved(path, values):
    np.save(path, values, allow_pickle=True)
    return path


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64, ">i4"])
def test_volume(tmp_path, kind):
    scan = read_scan(saved(tmp_path / "a.npy", hounsfield().astype(kind)))
    assert np.array_equal(scan.voxels, hounsfield())
    assert (scan.modality, scan.spacing_mm, scan.name) == ("CT", (1, 1, 1), "a")
    assert "1 mm was assumed" in scan.warnings[0]


def test_slice(tmp_path):
    assert read_scan(saved(tmp_path / "a.npy", hounsfield(1)[0])).shape == (1, 20, 24)


def test_fortran_order(tmp_path):
    scan = read_scan(saved(tmp_path / "a.npy", np.asfortranarray(hounsfield())))
    assert np.array_equal(scan.voxels, hounsfield())
    assert scan.voxels.flags.c_contiguous


def test_nothing_negative_is_mr(tmp_path):
    assert read_scan(saved(tmp_path / "a.npy", np.arange(400).reshape(20, 20))).modality == "MR"


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.array([[{}] * 20] * 20, object), "type object"),
        (np.zeros((20, 20), complex), "complex128"),
        (np.zeros((20, 20), bool), "type bool"),
        (np.zeros(400), "1 axes"),
        (np.zeros((1, 2, 20, 20)), "4 axes"),
        (np.full((20, 20), np.nan), "not numbers"),
        (np.zeros((20, 4)), "too small"),
        (np.zeros((0, 20, 20)), "too small"),
    ],
)
def test_what_is_no_scan(tmp_path, values, problem):
    with pytest.raises(ScanError, match=problem):
        read_scan(saved(tmp_path / "a.npy", values))


@pytest.mark.parametrize("keep", [0, 4, 50, 400])
def test_cut_short(tmp_path, keep):
    path = saved(tmp_path / "a.npy", hounsfield())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScanError, match=r"cut short"):
        read_scan(path)


def test_impossible_size_is_refused_before_reading(tmp_path):
    header = b"{'descr': '<i2', 'fortran_order': False, 'shape': (99999, 99999, 99999), }"
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ScanError, match="more than the limit"):
        read_scan(tmp_path / "a.npy")
