from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import zipfile

import numpy as np
import pytest

from tamperscan.errors import ScanError
from tamperscan.scan import iter_scans, pixel_sha256, read_scan, read_scans

from .dicom_maker import hounsfield, write_series, write_slice


def test_folder_becomes_one_volume(tmp_path):
    scan = read_scan(write_series(tmp_path / "chest", hounsfield()))
    assert np.array_equal(scan.voxels, hounsfield())
    assert scan.voxels.dtype == np.float32
    assert (scan.shape, scan.modality, scan.name) == ((5, 20, 24), "CT", "chest")
    assert scan.spacing_mm == (2.0, 0.5, 0.75)
    assert scan.warnings == ()


def test_single_file(tmp_path):
    scan = read_scan(write_slice(tmp_path / "one.dcm"))
    assert (scan.shape, scan.name, scan.spacing_mm[0]) == ((1, 20, 24), "one", 2.0)


def test_sources_are_in_slice_order(tmp_path):
    scan = read_scan(write_series(tmp_path, order=[4, 3, 2, 1, 0]))
    assert [source[-8:] for source in scan.sources] == [f"{number:04d}.dcm" for number in (4, 3, 2, 1, 0)]


def test_metadata_never_names_the_patient(tmp_path):
    scan = read_scan(write_slice(tmp_path / "one.dcm"))
    assert scan.metadata["Manufacturer"] == "Maker"
    assert scan.metadata["ConvolutionKernel"] == "B30f"
    assert scan.metadata["TransferSyntaxUID"] == "1.2.840.10008.1.2.1"
    assert not any("Nobody" in value for value in scan.metadata.values())


def test_sha256_is_that_of_the_voxels(tmp_path):
    scan = read_scan(write_series(tmp_path))
    assert scan.sha256 == pixel_sha256(scan.voxels)
    assert re.fullmatch("[0-9a-f]{64}", scan.sha256)


def test_sha256_knows_shape_and_values():
    flat = np.zeros((2, 3, 4), np.float32)
    assert pixel_sha256(flat) != pixel_sha256(flat.reshape(3, 2, 4))
    assert pixel_sha256(flat) != pixel_sha256(flat + 1)
    assert pixel_sha256(flat) == pixel_sha256(np.asfortranarray(flat.astype(">f4")))


def test_several_volumes_need_read_scans(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / name, SeriesInstanceUID=f"1.2.{ord(name)}")
    with pytest.raises(ScanError, match=r"2 volumes \(a, b\).*read_scans"):
        read_scan(tmp_path)
    assert [scan.name for scan in read_scans(tmp_path)] == ["a", "b"]


def test_series_mixed_in_one_folder_are_told_apart(tmp_path):
    for number in (1, 2):
        folder = write_series(tmp_path / str(number), SeriesInstanceUID=f"1.{number}", SeriesDescription=f"T{number}")
        for file in folder.iterdir():
            file.rename(tmp_path / f"{number}{file.name}")
        folder.rmdir()
    scans = read_scans(tmp_path)
    assert [scan.shape[0] for scan in scans] == [5, 5]
    assert [scan.name for scan in scans] == [f"{tmp_path.name}_T1", f"{tmp_path.name}_T2"]


def test_names_are_safe_and_unique(tmp_path):
    for number in range(3):
        description = "../../etc/Müller *"
        write_series(tmp_path, SeriesInstanceUID=f"1.{number}", SeriesDescription=description)
        for file in tmp_path.glob("IM*.dcm"):
            file.rename(tmp_path / f"{number}_{file.name[2:]}")
    names = [scan.name for scan in read_scans(tmp_path)]
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", name) for name in names)


def test_one_broken_file_never_ends_the_run(tmp_path):
    write_series(tmp_path)
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + random.Random(0).randbytes(500))
    errors = []
    assert len(read_scans(tmp_path, on_error=errors.append)) == 1
    assert [error.path[-10:] for error in errors] == ["broken.dcm"]


def test_read_scan_tells_what_was_left_out(tmp_path):
    write_series(tmp_path)
    (tmp_path / "broken.dcm").write_bytes(b"nothing")
    assert any("broken.dcm" in warning for warning in read_scan(tmp_path).warnings)


def test_files_that_go_along_are_passed_over(tmp_path):
    write_series(tmp_path)
    for name in ("notes.txt", "tumour.json", "report.pdf", ".hidden"):
        (tmp_path / name).write_text("{}")
    errors = []
    assert len(read_scans(tmp_path, on_error=errors.append)) == 1
    assert errors == []
    assert read_scan(tmp_path).warnings == ()


def test_a_slice_that_is_cut_short_is_left_out(tmp_path):
    write_series(tmp_path, hounsfield(8))
    victim = tmp_path / "IM0003.dcm"
    victim.write_bytes(victim.read_bytes()[:-100])
    errors = []
    (scan,) = read_scans(tmp_path, on_error=errors.append)
    assert scan.shape[0] == 7
    assert any("1 slice is missing" in warning for warning in scan.warnings)
    assert "IM0003" in errors[0].path


def test_scans_come_one_at_a_time(tmp_path):
    for name in ("a", "b"):
        write_series(tmp_path / name, SeriesInstanceUID=f"1.2.{ord(name)}")
    scans = iter_scans(tmp_path)
    assert next(scans).name == "a"
    shutil.rmtree(tmp_path / "b")
    assert list(scans) == []


def test_missing_path(tmp_path):
    with pytest.raises(ScanError, match="does not exist"):
        read_scan(tmp_path / "nothing")


def test_empty_folder(tmp_path):
    with pytest.raises(ScanError, match=r"holds no scan\. Give"):
        read_scans(tmp_path)


def test_folder_of_text(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b").write_text("hello")
    with pytest.raises(ScanError, match="not a DICOM"):
        read_scans(tmp_path)


def test_nothing_readable_is_summed_up(tmp_path):
    for number in range(3):
        write_slice(tmp_path / f"{number}.dcm", Modality="SEG")
    with pytest.raises(ScanError, match=r"3 x is not a CT or MR image \(SEG\)"):
        read_scans(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file(tmp_path):
    path = write_slice(tmp_path / "one.dcm")
    path.chmod(0)
    with pytest.raises(ScanError, match="may not be read"):
        read_scan(path)


def test_a_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ScanError, match="neither a file nor a folder"):
        read_scan(tmp_path / "pipe")


def test_nul_in_path():
    with pytest.raises(ScanError):
        read_scan("a\0b")


def test_mr_files_keep_their_signal(tmp_path):
    stored = np.arange(20 * 20, dtype=np.uint16).reshape(20, 20)
    path = write_slice(tmp_path / "mr.dcm", stored, Modality="MR", RescaleSlope=None, RescaleIntercept=None)
    scan = read_scan(path)
    assert scan.modality == "MR"
    assert np.array_equal(scan.voxels[0], stored)


def test_damaged_bytes_give_a_scan_or_a_scan_error(tmp_path):
    whole = write_slice(tmp_path / "one.dcm").read_bytes()
    chance = random.Random(1)
    for _ in range(150):
        damaged = bytearray(whole[: chance.randrange(100, len(whole))])
        for _ in range(chance.randrange(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        (tmp_path / "two.dcm").write_bytes(damaged)
        with contextlib.suppress(ScanError):
            assert np.isfinite(read_scan(tmp_path / "two.dcm").voxels).all()


def test_zip_of_a_folder(tmp_path):
    folder = write_series(tmp_path / "chest")
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.iterdir():
            archive.write(file, f"inner/{file.name}")
    scan = read_scan(tmp_path / "export.zip")
    assert (scan.name, scan.sha256) == ("export", read_scan(folder).sha256)
