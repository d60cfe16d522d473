import pytest

from tamperscan.report.folders import ReportFolders, safe_name
from tamperscan.report.write import write_report


@pytest.fixture
def report_on(make_screening):
    return lambda scan, folder: write_report(make_screening(scan=scan), folder, pictures=False)


def test_scan_gets_the_folder_of_its_name(tmp_path, make_scan):
    assert ReportFolders(tmp_path).take(make_scan(name="chest-1")) == tmp_path / "chest-1"


def test_scans_of_one_name_get_folders_of_their_own(tmp_path, make_scan):
    folders = ReportFolders(tmp_path)
    taken = [folders.take(make_scan(name=name)).name for name in ("a", "a", "A", "b")]
    assert taken == ["a", "a-2", "A-3", "b"]


def test_scan_that_is_screened_again_finds_its_folder(tmp_path, make_scan, report_on):
    scan = make_scan()
    report_on(scan, ReportFolders(tmp_path).take(scan))
    assert ReportFolders(tmp_path).take(scan) == tmp_path / "chest-1"


def test_report_on_another_scan_is_not_overwritten(tmp_path, make_scan, report_on):
    first, second = make_scan(sha256="11" * 32), make_scan(sha256="22" * 32)
    report_on(first, ReportFolders(tmp_path).take(first))
    for _ in range(2):
        folder = ReportFolders(tmp_path).take(second)
        assert folder == tmp_path / "chest-1-2"
        report_on(second, folder)


@pytest.mark.parametrize("content", ["", "[]", '{"scan": 1}', '{"other": true}'])
def test_broken_document_is_overwritten(tmp_path, content, make_scan):
    (tmp_path / "chest-1").mkdir()
    (tmp_path / "chest-1" / "screening.json").write_text(content)
    assert ReportFolders(tmp_path).take(make_scan()) == tmp_path / "chest-1"


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("LIDC-IDRI-0001_STANDARD", "LIDC-IDRI-0001_STANDARD"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "scan"),
        ("", "scan"),
        ("a/b\\c:d", "a_b_c_d"),
        ("NUL", "_NUL"),
        ("com1.txt", "_com1.txt"),
        ("Müller", "M_ller"),
    ],
)
def test_names_are_made_safe(name, safe):
    assert safe_name(name) == safe


def test_long_names_are_cut_and_stay_apart():
    first, second = safe_name("x" * 300 + "1"), safe_name("x" * 300 + "2")
    assert len(first) == 100
    assert first != second
