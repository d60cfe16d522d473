from __future__ import annotations

import tempfile
from itertools import permutations, product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from tamperscan.errors import ScanError
from tamperscan.scan import read_scan

from .dicom_maker import hounsfield, write_series

SHAPE = (24, 20, 18)
SPACING = (0.75, 0.5, 2.0)
AXES = ("LR", "PA", "SI")


def stored(codes="LPS", spacing=SPACING, seed=0):
    """HU [x, y, z] with its RAS affine, in the given order and direction of axes."""
    values = np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)
    ras = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    ras[:3, 3] = [50, 60, -70]
    change = ornt_transform(axcodes2ornt(tuple("LPS")), axcodes2ornt(tuple(codes)))
    turned = nibabel.apply_orientation(values, change)
    return values, turned, ras @ inv_ornt_aff(change, SHAPE)


def write(path, values, affine, kind=nibabel.Nifti1Image):
    nibabel.save(kind(values, affine), path)
    return path


def test_axial_ct(tmp_path):
    values, turned, affine = stored()
    scan = read_scan(write(tmp_path / "chest.nii.gz", turned, affine))
    assert np.array_equal(scan.voxels, values.transpose(2, 1, 0))
    assert (scan.modality, scan.name, scan.spacing_mm) == ("CT", "chest", (2.0, 0.5, 0.75))
    assert "modality" in scan.warnings[0]


CODES = ["".join(codes) for order in permutations(AXES) for codes in product(*order)]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CODES))
def test_storage_order_does_not_matter_for_ct(codes):
    values, turned, affine = stored(codes)
    with tempfile.TemporaryDirectory() as folder:
        scan = read_scan(write(Path(folder) / "a.nii", turned, affine))
    assert np.array_equal(scan.voxels, values.transpose(2, 1, 0))
    assert np.allclose((scan.affine @ [0, 0, 0, 1])[:3], [-50, -60, -70])
    assert np.allclose(scan.affine[:3, :3], [[0, 0, 0.75], [0, 0.5, 0], [2, 0, 0]])


def test_same_volume_as_dicom(tmp_path):
    dicom = read_scan(write_series(tmp_path / "dicom", hounsfield(6)))
    affine = np.diag([-1.0, -1, 1, 1]) @ dicom.affine[:, [2, 1, 0, 3]]
    scan = read_scan(write(tmp_path / "a.nii", hounsfield(6).transpose(2, 1, 0), affine))
    assert scan.sha256 == dicom.sha256
    assert np.allclose(scan.affine, dicom.affine)
    assert scan.spacing_mm == pytest.approx(dicom.spacing_mm)


@pytest.mark.parametrize("orientation", [(0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)])
def test_sagittal_and_coronal_mr_are_as_in_dicom(tmp_path, orientation):
    dicom = read_scan(write_series(tmp_path / "dicom", hounsfield(20), orientation=orientation, Modality="MR"))
    affine = np.diag([-1.0, -1, 1, 1]) @ dicom.affine
    scan = read_scan(write(tmp_path / "a.nii", (hounsfield(20) + 1000).clip(0), affine))
    assert np.array_equal(scan.voxels, dicom.voxels + 1000)
    assert np.allclose(scan.affine, dicom.affine)


def test_sagittal_mr_keeps_its_slices(tmp_path):
    values = np.arange(20 * 18 * 16, dtype=np.int16).reshape(16, 18, 20)
    affine = np.diag([3.0, 1, 1, 1])
    scan = read_scan(write(tmp_path / "a.nii", values, affine))
    assert (scan.modality, scan.shape) == ("MR", (16, 20, 18))
    assert scan.spacing_mm == (3, 1, 1)
    assert np.array_equal(scan.voxels, values.transpose(0, 2, 1)[:, ::-1, ::-1])


def test_nifti2(tmp_path):
    values, turned, affine = stored()
    scan = read_scan(write(tmp_path / "a.nii", turned, affine, nibabel.Nifti2Image))
    assert np.array_equal(scan.voxels, values.transpose(2, 1, 0))


def test_scaled_values(tmp_path):
    image = nibabel.Nifti1Image(np.full(SHAPE, 10, np.int16), np.eye(4))
    image.header.set_slope_inter(2, -1000)
    nibabel.save(image, tmp_path / "a.nii")
    assert read_scan(tmp_path / "a.nii").voxels.max() == -980


def test_two_dimensions(tmp_path):
    scan = read_scan(write(tmp_path / "a.nii", np.full((20, 24), -900, np.int16), np.eye(4)))
    assert scan.shape == (1, 24, 20)


def test_fourth_axis_of_one(tmp_path):
    assert read_scan(write(tmp_path / "a.nii", stored()[1][..., None], np.eye(4))).shape == (18, 20, 24)


def test_label_map(tmp_path):
    image = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), np.eye(4))
    image.header.set_intent("label")
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(ScanError, match="label map"):
        read_scan(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.zeros((20, 20, 20, 2), np.int16), "more than one volume"),
        (np.zeros((20, 20, 20), np.complex64), "complex64 instead"),
        (np.zeros((20, 20, 20), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours"),
        (np.full((20, 20, 20), np.nan, np.float32), "not numbers"),
        (np.full((20, 20, 20), np.inf, np.float32), "not numbers"),
        (np.zeros((5, 5, 5), np.int16), "too small"),
    ],
)
def test_what_is_no_scan(tmp_path, values, problem):
    with pytest.raises(ScanError, match=problem):
        read_scan(write(tmp_path / "a.nii", values, np.eye(4)))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("keep", [0, 100, 400, 5000])
def test_cut_short(tmp_path, name, keep):
    path = write(tmp_path / name, *stored()[1:])
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScanError, match=r"short|damaged|not a NIfTI"):
        read_scan(path)


def test_impossible_size_is_refused_before_reading(tmp_path):
    path = write(tmp_path / "a.nii", *stored()[1:])
    content = bytearray(path.read_bytes())
    content[42:48] = np.array([32767, 32767, 32767], "<i2").tobytes()
    path.write_bytes(content)
    with pytest.raises(ScanError, match="more than the limit"):
        read_scan(path)


def test_singular_orientation(tmp_path):
    image = nibabel.Nifti1Image(stored()[1], np.eye(4))
    image.header["sform_code"] = 1
    image.header["qform_code"] = 0
    for row in ("srow_x", "srow_y", "srow_z"):
        image.header[row] = 0
    path = tmp_path / "a.nii"
    path.write_bytes(image.header.binaryblock + bytes(4) + image.get_fdata().astype(np.int16).tobytes("F"))
    with pytest.raises(ScanError, match="orientation matrix is singular"):
        read_scan(path)
