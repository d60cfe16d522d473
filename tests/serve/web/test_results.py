import io
import zipfile

from tamperscan.serve.web.results import ResultFolder, result_folders, scan_result, zipped


def scan(folder, name):
    (folder / name).mkdir()
    (folder / name / "screening.json").write_text("{}")


def test_one_scan_lies_in_the_folder_itself(sample_results):
    assert result_folders(sample_results) == [ResultFolder(sample_results)]


def test_several_scans_in_their_order(tmp_path):
    for number in (10, 2, 1):
        scan(tmp_path, f"scan-{number}")
    (tmp_path / "scan-3").mkdir()  # without a document it is none
    assert [result.folder.name for result in result_folders(tmp_path)] == ["scan-1", "scan-2", "scan-10"]


def test_no_results(tmp_path):
    assert result_folders(tmp_path / "nowhere") == []


def test_result_says_what_there_is(sample_results):
    result = scan_result(ResultFolder(sample_results), 0, "/api/x")
    assert (result.verdict, result.name) == ("suspicious", "7478_73")
    assert set(result.volumes) == {"scan", "suspicion", "residual"}
    assert [download.url.rpartition("/")[2] for download in result.downloads] == [
        "report.html",
        "report.pdf",
        "screening.json",
        "dicom.zip",
        "suspicion.nii.gz",
    ]


def test_pdf(sample_results):
    assert ResultFolder(sample_results).pdf().startswith(b"%PDF")


def test_zip(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"x" * 10**6)
    archive = zipfile.ZipFile(io.BytesIO(b"".join(zipped([tmp_path / "a.dcm"]))))
    assert archive.namelist() == ["a.dcm"]
    assert archive.testzip() is None
