from __future__ import annotations

import zipfile

import numpy as np
import pytest
from pydicom.fileset import FileSet

from tamperscan.errors import ScanError
from tamperscan.scan import Limits, collect, read_scan, read_scans

from .dicom_maker import hounsfield, write_series, write_slice


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def slice_bytes(folder, **values):
    return write_slice(folder / "made" / "slice.dcm", **values).read_bytes()


def test_zip_with_two_series(tmp_path):
    members = {
        f"{name}/{number}.dcm": slice_bytes(
            tmp_path, SeriesInstanceUID=f"1.{ord(name)}", ImagePositionPatient=[0, 0, 2 * number]
        )
        for name in "ab"
        for number in range(3)
    }
    scans = read_scans(zipped(tmp_path / "two.zip", members))
    assert [(scan.name, scan.shape[0]) for scan in scans] == [("a", 3), ("b", 3)]
    assert scans[0].sources[0].endswith("two.zip/a/0.dcm")


def test_members_that_point_outside_are_only_read(tmp_path):
    second = slice_bytes(tmp_path, ImagePositionPatient=[0, 0, 2])
    (tmp_path / "in").mkdir()
    members = {"../../evil.dcm": slice_bytes(tmp_path), "/abs/evil2.dcm": second}
    assert read_scan(zipped(tmp_path / "in" / "evil.zip", members)).shape[0] == 2
    assert sorted(file.name for file in tmp_path.rglob("evil*")) == ["evil.zip"]


def test_hidden_members_and_notes_are_passed_over(tmp_path):
    members = {"a.dcm": slice_bytes(tmp_path), "__MACOSX/._a.dcm": b"x", ".DS_Store": b"x", "a.json": b"{}"}
    assert read_scan(zipped(tmp_path / "a.zip", members)).warnings == ()


def test_zip_bomb_is_refused(tmp_path):
    path = zipped(tmp_path / "bomb.zip", {"a.dcm": bytes(2**28 + 1)})
    with pytest.raises(ScanError, match="over the limit"):
        read_scan(path)


def test_zip_with_too_many_members(tmp_path):
    path = zipped(tmp_path / "a.zip", {str(number): b"" for number in range(4)})
    with pytest.raises(ScanError, match=r"over the limit \(3 files"):
        read_scan(path, limits=Limits(zip_entries=3))


def test_zip_in_a_folder(tmp_path):
    zipped(tmp_path / "a.zip", {"a.dcm": slice_bytes(tmp_path / "elsewhere")})
    (tmp_path / "elsewhere" / "made" / "slice.dcm").unlink()
    assert read_scan(tmp_path).shape == (1, 20, 24)


def test_zip_within_a_zip_is_reported(tmp_path):
    inner = zipped(tmp_path / "inner.zip", {"a.dcm": slice_bytes(tmp_path)}).read_bytes()
    with pytest.raises(ScanError, match="zip within a zip"):
        read_scan(zipped(tmp_path / "outer.zip", {"inner.zip": inner}))


@pytest.mark.parametrize("keep", [40, -30])
def test_damaged_zip(tmp_path, keep):
    path = zipped(tmp_path / "a.zip", {"a.dcm": slice_bytes(tmp_path)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScanError, match="damaged zip"):
        read_scan(path)


def test_damaged_member(tmp_path):
    path = zipped(tmp_path / "a.zip", {"a.dcm": slice_bytes(tmp_path)})
    content = bytearray(path.read_bytes())
    content[60:200] = bytes(140)
    path.write_bytes(content)
    with pytest.raises(ScanError, match=r"a\.zip/a\.dcm"):
        read_scan(path)


def test_empty_zip(tmp_path):
    with pytest.raises(ScanError, match="holds no scan"):
        read_scan(zipped(tmp_path / "a.zip", {}))


@pytest.fixture
def medium(tmp_path):
    """A folder with a DICOMDIR and the five slices that it lists."""
    ids = {"PatientID": "1", "StudyID": "1", "StudyDate": "20200101", "StudyTime": "101010"}
    medium = FileSet()
    for file in sorted(write_series(tmp_path / "made", **ids).iterdir()):
        medium.add(file)
    medium.write(tmp_path / "disc")
    return tmp_path / "disc"


def test_dicomdir_file(medium):
    assert np.array_equal(read_scan(medium / "DICOMDIR").voxels, hounsfield())


def test_folder_with_dicomdir(medium):
    scan = read_scan(medium)
    assert (scan.shape[0], scan.warnings) == (5, ())


@pytest.mark.parametrize("path", [".", "DICOMDIR"])
def test_files_missing_from_a_medium_are_reported(medium, path):
    victim = next(file for file in sorted(medium.rglob("*")) if file.is_file() and file.name != "DICOMDIR")
    victim.unlink()
    errors = []
    read_scans(medium / path, on_error=errors.append)
    assert [victim.name in error.problem for error in errors] == [True]


def test_names_in_a_dicomdir_can_not_leave_its_folder(tmp_path):
    for name in ("..", "a/b", "", "."):
        assert collect._resolve(tmp_path, [name, "x"]) is None


def test_case_of_listed_names_does_not_matter(tmp_path):
    write_slice(tmp_path / "images" / "im1")
    assert collect._resolve(tmp_path, ["IMAGES", "IM1"]) == tmp_path / "images" / "im1"


def test_hidden_folders_are_passed_over(tmp_path):
    write_series(tmp_path)
    write_series(tmp_path / ".cache", SeriesInstanceUID="5")
    assert len(read_scans(tmp_path)) == 1


def test_dicom_is_known_by_its_content_not_its_name(tmp_path):
    write_slice(tmp_path / "slice.txt")
    assert read_scan(tmp_path).shape == (1, 20, 24)
