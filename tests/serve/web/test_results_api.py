import gzip
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor

import httpx
import pydicom
import pytest

from tamperscan.report import ScreeningDocument


@pytest.fixture
def address(done):
    return f"/api/jobs/{done.id}/scans/0"


def test_results_lead_to_files_that_are_there(page, done):
    (result,) = page.get(f"/api/jobs/{done.id}/scans").json()
    for url in (result["document"], *result["volumes"].values(), *(one["url"] for one in result["downloads"])):
        assert page.get(url).status_code == 200, url


def test_document(page, address):
    document = ScreeningDocument.model_validate(page.get(f"{address}/screening.json").json())
    assert document.verdict == "suspicious"


def test_report_runs_no_scripts(page, address):
    answer = page.get(f"{address}/report.html")
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-type"].startswith("text/html")


def test_dicom_results(page, address):
    archive = zipfile.ZipFile(io.BytesIO(page.get(f"{address}/dicom.zip").content))
    kinds = {pydicom.dcmread(io.BytesIO(archive.read(name))).Modality for name in archive.namelist()}
    assert {"SEG", "SR", "DOC"} <= kinds


def test_pdf(page, address):
    answer = page.get(f"{address}/report.pdf")
    assert answer.content.startswith(b"%PDF")
    assert answer.headers["content-type"] == "application/pdf"


def test_volume_comes_whole_in_parts_and_once(page, address):
    whole = page.get(f"{address}/volumes/scan.nii.gz")
    assert len(gzip.decompress(whole.content)) == 352 + 512 * 512 * 2
    part = page.get(f"{address}/volumes/scan.nii.gz", headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    beyond = page.get(f"{address}/volumes/scan.nii.gz", headers={"Range": "bytes=999999999-"})
    assert beyond.status_code == 416
    again = page.get(f"{address}/volumes/scan.nii.gz", headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "volumes/weights.nii.gz",
        "volumes/..%2f..%2fscreening.json",
        "../../../../tamperscan.db",
        "%2e%2e/%2e%2e/tamperscan.db",
        "volumes/%2e%2e%2fscan.nii.gz",
        "dicom/x.dcm",
        "comparison.png",
    ],
)
def test_nothing_else_can_be_had(page, address, path):
    assert page.get(f"{address}/{path}").status_code in (404, 422)


@pytest.mark.parametrize("number", ["1", "-1", "x", "99999"])
def test_scans_that_are_not_there(page, done, number):
    assert page.get(f"/api/jobs/{done.id}/scans/{number}/screening.json").status_code in (404, 422)


def test_damaged_result_is_told(page, done, address):
    (page.home.result_folder(done.id) / "screening.json").write_text("{")
    assert page.get(f"/api/jobs/{done.id}/scans").status_code == 404
    assert page.get(f"{address}/report.pdf").status_code == 404


def test_files_that_are_gone_are_told(page, done, address):
    (page.home.result_folder(done.id) / "report.html").unlink()
    assert page.get(f"{address}/report.html").status_code == 404
    assert "report.html" not in [one["url"] for one in page.get(f"/api/jobs/{done.id}/scans").json()[0]["downloads"]]


def test_many_at_once(page, done, address):
    def read(number):
        with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
            paths = ("/", f"/api/jobs/{done.id}", f"{address}/volumes/scan.nii.gz", "/static/vendor/niivue.umd.js")
            return [client.get(path).status_code for path in paths]

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(read, range(20))) == [[200] * 4] * 20
