import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_maker import hounsfield, write_series

import tamperscan
from tamperscan.errors import ForgeError, OutputError
from tamperscan.forge.grid import read_mask
from tamperscan.forge.write import MASK, RECORD, SCAN, is_forged_scan, write_forgery

from .toy import forged


@pytest.fixture
def series(tmp_path):
    return write_series(tmp_path / "study")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def test_a_forgery_is_a_folder_with_scan_mask_and_record(series, out):
    _, forgery = forged(series)
    folder = write_forgery(forgery, series, out)
    assert folder == out / "forged_study_ball_inject_0"
    assert sorted(path.name for path in folder.iterdir()) == [RECORD, MASK, SCAN]
    again = tamperscan.read_scan(folder / SCAN)
    assert np.array_equal(again.voxels, forgery.scan.voxels)
    assert np.array_equal(read_mask(folder / MASK, again), forgery.mask)


def test_the_record_says_what_is_in_the_files(series, out):
    scan, forgery = forged(series)
    folder = write_forgery(forgery, series, out)
    record = json.loads((folder / RECORD).read_text())
    assert record["forged"] is True
    assert "never pass it on as authentic" in record["warning"]
    assert record["name"] == folder.name
    assert record["sha256"] == tamperscan.read_scan(folder / SCAN).sha256
    assert record["source"]["sha256"] == scan.sha256
    assert record["voxels_changed"] == forgery.mask.sum()
    assert record["place"] == {"slice": 2, "row": 10, "column": 12, "diameter_mm": 5.0}


def test_rounding_by_the_file_is_recorded(tmp_path, out):
    series = write_series(tmp_path / "coarse", hounsfield() // 2, RescaleSlope=2)
    scan, forgery = forged(series)
    folder = write_forgery(forgery, series, out)
    again = tamperscan.read_scan(folder / SCAN)
    record = json.loads((folder / RECORD).read_text())
    assert record["sha256"] == again.sha256 != forgery.record.sha256
    assert record["voxels_changed"] == (again.voxels != scan.voxels).sum()
    assert np.array_equal(read_mask(folder / MASK, again), again.voxels != scan.voxels)


@pytest.mark.parametrize("suffix", ["nii.gz", "npy"])
def test_volume_files_keep_their_format(tmp_path, out, suffix):
    path = tmp_path / f"volume.{suffix}"
    if suffix == "npy":
        np.save(path, hounsfield())
    else:
        nibabel.save(nibabel.Nifti1Image(hounsfield().T, np.diag([0.75, 0.5, 2, 1])), path)
    _, forgery = forged(path)
    folder = write_forgery(forgery, path, out)
    assert [file.name for file in (folder / SCAN).iterdir()] == [f"forged.{suffix}"]
    again = tamperscan.read_scan(folder / SCAN)
    assert np.array_equal(read_mask(folder / MASK, again), forgery.mask)
    if suffix != "npy":  # on the grid of the file itself, as a viewer wants to lay it over
        mask = nibabel.load(folder / MASK)
        assert np.allclose(mask.affine, nibabel.load(folder / SCAN / "forged.nii.gz").affine)


def test_a_zip_is_written_from_its_members(series, out, tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in series.iterdir():
            archive.write(path, f"inside/{path.name}")
    _, forgery = forged(tmp_path / "study.zip")
    folder = write_forgery(forgery, tmp_path / "study.zip", out)
    assert np.array_equal(tamperscan.read_scan(folder / SCAN).voxels, forgery.scan.voxels)


def test_the_same_forgery_stays_as_it_is(series, out):
    _, forgery = forged(series)
    folder = write_forgery(forgery, series, out)
    before = (folder / RECORD).stat().st_mtime_ns
    assert write_forgery(forgery, series, out) == folder
    assert (folder / RECORD).stat().st_mtime_ns == before


@pytest.mark.parametrize("content", ["another", "damaged"])
def test_what_is_in_the_way_stays_and_is_told(series, out, content):
    _, forgery = forged(series)
    folder = write_forgery(forgery, series, out)
    record = json.loads((folder / RECORD).read_text())
    changed = json.dumps({**record, "region_mm": 9.0}) if content == "another" else "{"
    (folder / RECORD).write_text(changed)
    with pytest.raises(OutputError, match="is there already"):
        write_forgery(forgery, series, out)
    assert (folder / RECORD).read_text() == changed


def test_a_failure_leaves_nothing_behind(series, out):
    _, forgery = forged(series)
    (series / "IM0002.dcm").unlink()
    with pytest.raises(ForgeError, match=r"does not hold .*IM0002\.dcm"):
        write_forgery(forgery, series, out)
    assert list(out.iterdir()) == []


def test_files_that_changed_meanwhile_are_refused(series, out, tmp_path):
    _, forgery = forged(series)
    shutil.copytree(write_series(tmp_path / "other", hounsfield(seed=9)), series, dirs_exist_ok=True)
    with pytest.raises(ForgeError, match="are not what they were"):
        write_forgery(forgery, series, out)
    assert list(out.iterdir()) == []


def test_a_change_too_small_for_the_file_is_refused(series, out):
    scan, forgery = forged(series)
    slight = scan.voxels.copy()
    slight[2, 10, 12] += 0.2
    slight_scan = replace(forgery.scan, voxels=slight)
    with pytest.raises(ForgeError, match="smaller than the steps"):
        write_forgery(replace(forgery, scan=slight_scan, mask=slight != scan.voxels), series, out)


def test_a_folder_that_cannot_be_made_is_told(series, tmp_path):
    _, forgery = forged(series)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="something else of that name is in the way"):
        write_forgery(forgery, series, tmp_path / "file")


def test_a_forgery_is_known_again(series, out, tmp_path):
    scan, forgery = forged(series)
    folder = write_forgery(forgery, series, out)
    assert not is_forged_scan(scan)
    assert is_forged_scan(forgery.scan)
    assert is_forged_scan(tamperscan.read_scan(folder / SCAN))
    np.save(tmp_path / "volume.npy", hounsfield())
    _, forgery = forged(tmp_path / "volume.npy")
    folder = write_forgery(forgery, tmp_path / "volume.npy", out)
    assert is_forged_scan(tamperscan.read_scan(Path(folder, SCAN, "forged.npy")))
