import json

import numpy as np
import pytest

from tamperscan.errors import OutputError
from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.write import write_report


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_report_has_all_its_files(suspicious, tmp_path):
    files = write_report(suspicious, tmp_path / "deep" / "chest-1")
    assert names(files.folder) == [
        "comparison.png",
        "finding_01.png",
        "report.html",
        "screening.json",
        "slices.png",
        "suspicion.npz",
    ]


def test_document_names_the_files_that_are_there(suspicious, tmp_path):
    files = write_report(suspicious, tmp_path)
    stated = ScreeningDocument.model_validate_json(files.json.read_bytes())
    assert stated == files.document
    assert stated.files.findings == ["finding_01.png"]
    listed = [stated.files.report, stated.files.slices, stated.files.comparison, stated.files.suspicion]
    assert sorted([*listed, *stated.files.findings, "screening.json"]) == names(tmp_path)


def test_report_without_pictures(suspicious, tmp_path):
    files = write_report(suspicious, tmp_path, pictures=False)
    assert names(tmp_path) == ["report.html", "screening.json", "suspicion.npz"]
    assert files.pictures == ()
    assert files.document.files.slices is None
    assert "<img" not in files.page.read_text()


def test_report_of_an_abstained_screening(abstained, tmp_path):
    files = write_report(abstained, tmp_path)
    assert names(tmp_path) == ["report.html", "screening.json"]
    assert files.suspicion is None


def test_at_most_ten_findings_are_drawn(tmp_path, monkeypatch, make_screening, make_finding):
    monkeypatch.setattr("tamperscan.report.figures.finding_figure", lambda *_: b"picture")
    files = write_report(make_screening(findings=(make_finding(),) * 12), tmp_path)
    assert len(files.document.files.findings) == 10
    assert len(files.document.findings) == 12


def test_suspicion_keeps_two_digits(suspicious, tmp_path):
    write_report(suspicious, tmp_path, pictures=False)
    stored = np.load(tmp_path / "suspicion.npz")["suspicion"]
    assert stored.dtype == np.float16
    np.testing.assert_allclose(stored, suspicious.suspicion, rtol=0.01)


def test_suspicion_survives_what_half_floats_cannot_hold(suspicious, tmp_path, make_screening):
    wild = suspicious.suspicion.copy()
    wild[suspicious.regions] = np.resize([np.nan, np.inf, -1e9], int(suspicious.regions.sum()))
    write_report(make_screening(suspicion=wild), tmp_path, pictures=False)
    assert np.isfinite(np.load(tmp_path / "suspicion.npz")["suspicion"]).all()


def test_second_run_replaces_its_own_files_only(suspicious, clear, tmp_path):
    write_report(suspicious, tmp_path, pictures=False)
    (tmp_path / "notes.txt").write_text("mine")
    write_report(clear, tmp_path, pictures=False)
    assert json.loads((tmp_path / "screening.json").read_text())["verdict"] == "clear"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_document_is_written_last(suspicious, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr("tamperscan.report.write.write_file", lambda path, _: written.append(path.name))
    write_report(suspicious, tmp_path)
    assert written[-1] == "screening.json"


def test_file_in_the_way_of_the_folder(suspicious, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"taken: something else of that name is in the way\. Move it away"):
        write_report(suspicious, tmp_path / "taken")


def test_folder_in_the_way_of_a_file(suspicious, tmp_path):
    (tmp_path / "screening.json").mkdir()
    with pytest.raises(OutputError, match=r"screening\.json: something else"):
        write_report(suspicious, tmp_path, pictures=False)


def test_maps_are_written_and_named_where_they_are_asked_for(suspicious, tmp_path):
    files = write_report(suspicious, tmp_path, pictures=False, nifti=True)
    assert files.document.files.nifti == ["nifti/scan.nii.gz", "nifti/suspicion.nii.gz", "nifti/findings.nii.gz"]
    assert all((tmp_path / name).is_file() for name in files.document.files.nifti)
    assert [path.relative_to(tmp_path).as_posix() for path in files.nifti] == files.document.files.nifti


def test_a_report_without_its_dicom_results_says_why(suspicious, tmp_path):
    files = write_report(suspicious, tmp_path, pictures=False, dicom=True)
    assert "not read from DICOM" in files.problem
    assert files.document.files.dicom == []
    assert files.page.is_file()
