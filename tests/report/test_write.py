import errno
import json
import os
import re
import stat

import numpy as np
import pytest

from tamperscan.errors import OutputError
from tamperscan.report.schema import ScreeningDocument
from tamperscan.report.write import make_folder, write_file, write_report

as_root = pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")


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


@as_root
def test_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="no permission to write here"):
        make_folder(tmp_path)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "no permission to write here"),
        (errno.EROFS, "no permission to write here"),
        (errno.ENOSPC, "no space left to write"),
        (errno.ENAMETOOLONG, "the name is too long"),
        (errno.EIO, "can't be written (Input/output error)"),
    ],
)
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, code, words):
    def fail(_):
        raise OSError(code, os.strerror(code))

    (tmp_path / "a.txt").write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=re.escape(words)):
        write_file(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def test_interrupted_write_leaves_no_temporary_file(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(tmp_path / "a.txt", b"new")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_files_have_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "usual").write_text("")
    write_file(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)
