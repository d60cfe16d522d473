import json

import nibabel
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from tamperscan.cli.screen import app
from tamperscan.data import packaged_weights, sample_path

pytestmark = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


def screen(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments), "--no-pictures"])


def the_document(out):
    (path,) = out.glob("*/screening.json")
    return path.parent, json.loads(path.read_text())


def test_dicom_results_lie_in_the_report_folder(tmp_path):
    result = screen(sample_path(), "--out", tmp_path, "--dicom")
    assert result.exit_code == 0, result.stderr
    folder, document = the_document(tmp_path)
    assert f"  DICOM: {folder / 'dicom'}\n" in result.stdout
    names = [name for name in document["files"]["dicom"] if "key_image" not in name]
    assert names == ["dicom/findings.dcm", "dicom/suspicion.dcm", "dicom/report.dcm", "dicom/document.dcm"]
    source = pydicom.dcmread(sample_path(), stop_before_pixels=True)
    for name in document["files"]["dicom"]:
        assert pydicom.dcmread(folder / name).StudyInstanceUID == source.StudyInstanceUID
    assert document["files"]["nifti"] == []
    assert not (folder / "nifti").exists()


def test_without_the_option_there_are_none(tmp_path):
    assert screen(sample_path(), "--out", tmp_path).exit_code == 0
    folder, document = the_document(tmp_path)
    assert document["files"]["dicom"] == []
    assert not (folder / "dicom").exists()


def test_a_nifti_scan_gets_nifti_maps(tmp_path):
    source = pydicom.dcmread(sample_path())
    hu = source.pixel_array * float(source.RescaleSlope) + float(source.RescaleIntercept)
    spacing = [float(step) for step in source.PixelSpacing]
    affine = np.diag([-spacing[1], -spacing[0], 1.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(hu.T[..., None].astype(np.int16), affine), tmp_path / "scan.nii.gz")
    result = screen(tmp_path / "scan.nii.gz", "--out", tmp_path / "out", "--dicom")
    assert result.exit_code == 0, result.stderr
    folder, document = the_document(tmp_path / "out")
    assert document["files"]["dicom"] == []
    assert {"nifti/suspicion.nii.gz", "nifti/residual.nii.gz"} <= set(document["files"]["nifti"])
    image = nibabel.load(folder / "nifti" / "suspicion.nii.gz")
    assert image.shape == (512, 512, 1)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)


def test_what_is_left_out_is_told_as_a_note(tmp_path):
    source = pydicom.dcmread(sample_path())
    del source.FrameOfReferenceUID
    source.save_as(tmp_path / "unplaced.dcm")
    result = screen(tmp_path / "unplaced.dcm", "--out", tmp_path / "out", "--dicom")
    assert result.exit_code == 0, result.stderr
    assert "Note: unplaced: The images name no frame of reference. The segmentation and" in result.stderr


def test_a_scan_without_a_study_is_screened_all_the_same(tmp_path):
    source = pydicom.dcmread(sample_path())
    del source.StudyInstanceUID
    source.save_as(tmp_path / "homeless.dcm")
    result = screen(tmp_path / "homeless.dcm", "--out", tmp_path / "out", "--dicom")
    assert result.exit_code == 3
    assert "Error: homeless: its files name no study (StudyInstanceUID)" in result.stderr
    assert "Traceback" not in result.stderr
    _, document = the_document(tmp_path / "out")
    assert document["verdict"] == "suspicious"
