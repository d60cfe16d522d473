from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from tamperscan.scan import read_scan

from .dicom_maker import AXIAL, hounsfield, normal_of, write_series, write_slice

quick = settings(max_examples=15, deadline=None)


def read_series(**options):
    with tempfile.TemporaryDirectory() as folder:
        return read_scan(write_series(Path(folder), **options))


def orientation_of(seed):
    turned = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    return (*turned[:, 0], *turned[:, 1])


@quick
@given(st.permutations(range(5)))
def test_order_of_files_does_not_matter(order):
    scan = read_series(order=order, InstanceNumber=None)
    assert np.array_equal(scan.voxels, hounsfield())
    assert scan.warnings == ()


@quick
@given(st.integers(0, 1000), st.permutations(range(5)))
def test_affine_maps_index_to_position(seed, order):
    orientation, origin = orientation_of(seed), np.array([10.0, -20.0, 30.0])
    scan = read_series(orientation=orientation, origin=origin, step=1.25, order=order)
    expected = origin + 3 * 1.25 * normal_of(orientation)
    expected += 2 * 0.5 * np.array(orientation[3:]) + 7 * 0.75 * np.array(orientation[:3])
    assert np.allclose((scan.affine @ [3, 2, 7, 1])[:3], expected, atol=1e-3)
    assert scan.spacing_mm == pytest.approx((1.25, 0.5, 0.75), abs=1e-4)
    assert np.array_equal(scan.voxels, hounsfield())


@quick
@given(st.integers(0, 1000))
def test_flipped_normal_flips_the_slices(seed):
    row, column = np.split(np.array(orientation_of(seed)), 2)
    flipped = (*-row, *column)
    scan = read_series(orientation=tuple(flipped), step=-2.0)
    assert np.array_equal(scan.voxels, hounsfield()[::-1])
    assert scan.spacing_mm[0] == pytest.approx(2.0, abs=1e-4)


def test_voxels_go_from_feet_to_head():
    scan = read_series(orientation=AXIAL, order=[4, 2, 0, 1, 3])
    assert scan.affine[:3, 0].tolist() == [0, 0, 2]


def without(tmp_path, *missing):
    folder = write_series(tmp_path, hounsfield(10))
    for index in missing:
        (folder / f"IM{index:04d}.dcm").unlink()
    return read_scan(folder)


def test_gap_is_told(tmp_path):
    scan = without(tmp_path, 3, 4)
    assert scan.shape[0] == 8
    assert scan.spacing_mm[0] == 2.0
    assert scan.warnings == (
        "2 slices are missing (between 4.0 and 10.0 mm); the others were stacked without filling.",
    )


def test_several_gaps_are_told(tmp_path):
    assert "between 2.0 and 6.0 mm, 10.0 and 14.0 mm" in without(tmp_path, 2, 6).warnings[0]


def series_at(folder, heights, **values):
    for number, height in enumerate(heights):
        plane = hounsfield(1, seed=number)[0]
        write_slice(folder / f"{number}.dcm", plane, ImagePositionPatient=[0, 0, height], **values)
    return read_scan(folder)


def test_uneven_spacing_is_told(tmp_path):
    scan = series_at(tmp_path, [0, 2, 4, 6.6, 8.6, 10.6])
    assert scan.spacing_mm[0] == pytest.approx(2)
    assert "not uniform (2.00 to 2.60 mm" in scan.warnings[0]


def test_small_jitter_is_not_told(tmp_path):
    assert series_at(tmp_path, [0, 2.001, 4, 5.999, 8]).warnings == ()


def test_shear_is_told_and_kept_in_the_affine(tmp_path):
    for number in range(5):
        place = [0, 0.5 * number, 2 * number]
        write_slice(tmp_path / f"{number}.dcm", ImagePositionPatient=place)
    scan = read_scan(tmp_path)
    assert scan.spacing_mm[0] == pytest.approx(2)
    assert np.allclose(scan.affine[:3, 0], [0, 0.5, 2])
    assert "14.0 degrees" in scan.warnings[0]


def test_stated_tilt_is_told(tmp_path):
    assert "tilted by 12 degrees" in read_scan(write_slice(tmp_path / "a.dcm", GantryDetectorTilt=12)).warnings[0]


def test_sideways_slices_are_told(tmp_path):
    for number in range(6):
        place = [5 if number == 3 else 0, 0, 2 * number]
        write_slice(tmp_path / f"{number}.dcm", ImagePositionPatient=place)
    assert "shifted sideways by up to 5.0 mm" in read_scan(tmp_path).warnings[0]


def test_slice_location_stands_in_for_position(tmp_path):
    for number in (2, 0, 1):
        facts = {"ImagePositionPatient": None, "SliceLocation": 3 * number, "InstanceNumber": 9 - number}
        write_slice(tmp_path / f"{number}.dcm", hounsfield()[number], **facts)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.voxels, hounsfield()[:3])
    assert scan.spacing_mm[0] == 3
    assert "sorted by slice location" in scan.warnings[0]


def test_instance_number_stands_in_for_location(tmp_path):
    for number in (2, 0, 1):
        facts = {"ImagePositionPatient": None, "InstanceNumber": number + 5}
        write_slice(tmp_path / f"{9 - number}.dcm", hounsfield()[number], **facts)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.voxels, hounsfield()[:3])
    assert "sorted by instance number" in scan.warnings[0]


def test_file_names_stand_in_for_numbers(tmp_path):
    for number in (2, 0, 1):
        facts = {"ImagePositionPatient": None, "InstanceNumber": None}
        write_slice(tmp_path / f"im{9 + number}.dcm", hounsfield()[number], **facts)
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.voxels, hounsfield()[:3])
    assert "sorted by file name" in scan.warnings[0]


@pytest.mark.parametrize(
    ("facts", "step", "told"),
    [
        ({"SpacingBetweenSlices": 3.5}, 3.5, False),
        ({"SliceThickness": 2.5}, 2.5, False),
        ({"SliceThickness": None}, 1.0, True),
    ],
)
def test_step_of_a_single_slice(tmp_path, facts, step, told):
    scan = read_scan(write_slice(tmp_path / "a.dcm", **facts))
    assert scan.spacing_mm[0] == step
    assert any("thickness is unknown" in warning for warning in scan.warnings) == told


@pytest.mark.parametrize("spacing", [None, [0, 0], [1, -1]])
def test_pixel_spacing_is_assumed_with_a_warning(tmp_path, spacing):
    scan = read_scan(write_slice(tmp_path / "a.dcm", PixelSpacing=spacing))
    assert scan.spacing_mm[1:] == (1, 1)
    assert "pixel spacing is unknown" in scan.warnings[0]


@pytest.mark.parametrize("orientation", [None, [0, 0, 0, 0, 0, 0], [1, 0, 0, 1, 0, 0]])
def test_impossible_orientation_is_told(tmp_path, orientation):
    scan = read_scan(write_slice(tmp_path / "a.dcm", ImageOrientationPatient=orientation))
    assert "axial slices were assumed" in scan.warnings[0]
