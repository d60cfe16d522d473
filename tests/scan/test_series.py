from __future__ import annotations

import shutil

import numpy as np
import pytest

from tamperscan.errors import ScanError
from tamperscan.scan import read_scan, read_scans
from tamperscan.scan.series import is_volume

from .dicom_maker import hounsfield, write_series, write_slice


def two_stacks(folder, **differing):
    """Two stacks of five slices at the same places; ``differing`` gives two values for each keyword."""
    for number in range(2):
        values = {keyword: pair[number] for keyword, pair in differing.items()}
        write_series(folder / f"part{number}", hounsfield(seed=number), **values)
    return read_scans(folder)


@pytest.mark.parametrize(
    "differing",
    [
        {"AcquisitionNumber": (1, 2)},
        {"TemporalPositionIdentifier": (1, 2)},
        {"EchoTime": (10.0, 80.0)},
        {"ImageType": (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])},
        {"AcquisitionTime": ("101500", "101700")},
        {"KVP": (80, 140)},
    ],
)
def test_stacks_at_one_place_are_told_apart(tmp_path, differing):
    scans = two_stacks(tmp_path, **differing)
    assert [scan.shape[0] for scan in scans] == [5, 5]
    assert np.array_equal(scans[1].voxels, hounsfield(seed=1))
    assert "2 stacks at the same place" in scans[0].warnings[0]


def test_stacks_that_differ_by_two_facts(tmp_path):
    for echo in (10, 20):
        for time in (1, 2):
            facts = {"EchoTime": echo, "TemporalPositionIdentifier": time}
            write_series(tmp_path / f"{echo}-{time}", hounsfield(seed=echo + time), **facts)
    assert [scan.shape[0] for scan in read_scans(tmp_path)] == [5, 5, 5, 5]


def test_slices_in_conflict_are_no_volume(tmp_path):
    scans = two_stacks(tmp_path)
    assert [scan.shape[0] for scan in scans] == [1] * 10
    assert all("same place with other pixels" in scan.warnings[0] for scan in scans)
    assert len({scan.name for scan in scans}) == 10


def test_one_conflict_leaves_the_rest_a_volume(tmp_path):
    write_series(tmp_path, hounsfield(9))
    write_slice(tmp_path / "extra.dcm", ImagePositionPatient=[0, 0, 8])
    volume, *alone = read_scans(tmp_path)
    assert volume.shape[0] == 8
    assert {scan.name for scan in alone} == {"IM0004", "extra"}
    assert any("1 slice is missing" in warning for warning in volume.warnings)
    assert any("2 slices at the same place" in warning for warning in volume.warnings)


def test_duplicates_are_dropped(tmp_path):
    write_series(tmp_path)
    shutil.copy(tmp_path / "IM0001.dcm", tmp_path / "copy.dcm")
    scan = read_scan(tmp_path)
    assert np.array_equal(scan.voxels, hounsfield())
    assert scan.warnings == ("1 duplicate slice was dropped (same place, same pixels).",)


def test_a_whole_copy_is_dropped(tmp_path):
    """Even where the acquisition number parts the series in two, as table positions do."""
    for number in range(8):
        facts = {"ImagePositionPatient": [0, 0, 2 * number], "AcquisitionNumber": number // 4}
        for copy in ("a", "b"):
            write_slice(tmp_path / f"{copy}{number}.dcm", hounsfield(8)[number], **facts)
    assert np.array_equal(read_scan(tmp_path).voxels, hounsfield(8))


def test_other_sizes_are_scans_of_their_own(tmp_path):
    write_series(tmp_path / "a")
    write_slice(tmp_path / "b.dcm", hounsfield(1, rows=40)[0], ImagePositionPatient=[0, 0, 50])
    large, small = sorted(read_scans(tmp_path), key=lambda scan: -scan.shape[0])
    assert (large.shape, small.shape) == ((5, 20, 24), (1, 40, 24))
    assert "other sizes, spacings or orientations" in large.warnings[0]


def test_other_orientation_is_a_scan_of_its_own(tmp_path):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", orientation=(0, 1, 0, 0, 0, -1))
    assert [scan.shape[0] for scan in read_scans(tmp_path)] == [5, 5]


def test_modalities_do_not_mix(tmp_path):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", Modality="MR")
    assert {scan.modality for scan in read_scans(tmp_path)} == {"CT", "MR"}


def test_wild_positions_are_no_volume(tmp_path):
    for number, height in enumerate([145.6, 208.6, 209.3, 345.8, 352.8]):
        write_slice(tmp_path / f"{number}.dcm", ImagePositionPatient=[0, 0, height], SliceThickness=0.7)
    scans = read_scans(tmp_path)
    assert [scan.name for scan in scans] == ["0", "1", "2", "3", "4"]
    assert all("make no volume" in scan.warnings[0] for scan in scans)


def test_stretches_far_apart_are_volumes_of_their_own(tmp_path):
    for number, height in enumerate([0, 2, 4, 6, 8, 200, 202, 204, 206, 208]):
        write_slice(tmp_path / f"{number}.dcm", ImagePositionPatient=[0, 0, height])
    scans = read_scans(tmp_path)
    assert [scan.shape[0] for scan in scans] == [5, 5]
    assert "far apart" in scans[0].warnings[0]


@pytest.mark.parametrize(
    ("places", "nominal", "expected"),
    [
        ([0], 1, True),
        ([0, 25], 2.5, False),
        ([0, 5], 2.5, True),
        ([0, 25], None, True),
        ([0, 10, 20, 30, 40, 50], 1, True),
        ([0, 14, 36, 50, 72], 2, False),
        ([0, 1, 2, 3, 6, 7, 8], 1, True),
        ([0, 1, 50, 51, 100, 101], 1, False),
    ],
)
def test_what_counts_as_a_volume(places, nominal, expected):
    assert is_volume(np.array(places, float), nominal) is expected


def test_localizer_is_left_out_with_a_warning(tmp_path):
    write_series(tmp_path)
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    write_slice(tmp_path / "scout.dcm", hounsfield(1, rows=50)[0], ImageType=kind, SeriesInstanceUID="9")
    scan = read_scan(tmp_path)
    assert scan.shape[0] == 5
    assert "is a localizer" in scan.warnings[0]


def test_localizer_alone_is_an_error(tmp_path):
    with pytest.raises(ScanError, match="is a localizer"):
        read_scan(write_slice(tmp_path / "a.dcm", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))


def test_files_without_series_are_grouped_by_folder(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / name, SeriesInstanceUID=None)
    assert [scan.name for scan in read_scans(tmp_path)] == ["a", "b"]


def test_unreadable_rival_does_not_matter(tmp_path):
    write_series(tmp_path)
    whole = (tmp_path / "IM0001.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(whole[:-50])
    errors = []
    (scan,) = read_scans(tmp_path, on_error=errors.append)
    assert np.array_equal(scan.voxels, hounsfield())
    assert len(errors) == 1
