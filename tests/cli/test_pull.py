import json

import pytest
from orthanc import missing_parts, running_orthanc

from tamperscan.cli.dicomweb_options import access_to

needs_orthanc = pytest.mark.skipif(bool(missing_parts()), reason=missing_parts())


@needs_orthanc
def test_a_series_is_pulled_queued_and_pushed(tamperscan, ct_series, tmp_path):
    with running_orthanc(tmp_path / "orthanc") as archive:
        outcome = tamperscan("push", str(ct_series("chest")), "--to", archive.dicomweb)
        assert (outcome.returncode, outcome.stdout) == (0, f"4 of 4 stored in {archive.dicomweb}\n")
        command = ("pull", "--from", archive.dicomweb, "--query", "Modality=CT")
        outcome = tamperscan(*command, "--out", str(tmp_path / "out"))
        assert outcome.returncode == 0
        assert "4 fetched, 0 there before; in " in outcome.stdout
        outcome = tamperscan(*command, "--home", str(tmp_path / "home"), "--json")
        facts = json.loads(outcome.stdout)
        assert (facts["instances"], facts["fetched"], facts["problems"]) == (4, 4, [])
        assert len(facts["job"]) == 32
        again = json.loads(tamperscan(*command, "--home", str(tmp_path / "home"), "--json").stdout)
        assert (again["fetched"], again["job"]) == (0, facts["job"])
        assert (
            tamperscan(*command[:-1], "PatientID=none", "--out", str(tmp_path / "out")).stdout == "Nothing matches.\n"
        )


@pytest.mark.parametrize("where", [(), ("--out", "a", "--home", "b")])
def test_a_place_is_named_once(tamperscan, where):
    assert tamperscan("pull", "--from", "http://127.0.0.1:9", "--query", "Modality=CT", *where).returncode == 2


@pytest.mark.parametrize(
    ("url", "query", "words"),
    [
        ("pacs", "Modality=CT", "is no DICOMweb address"),
        ("http://127.0.0.1:9", "Nonsense=CT", "is no DICOM attribute"),
        ("http://127.0.0.1:9", "Modality", "is no condition"),
    ],
)
def test_wrong_words_are_told_in_one_line(tamperscan, url, query, words):
    outcome = tamperscan("pull", "--from", url, "--query", query, "--out", "out")
    assert outcome.returncode == 3
    assert words in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_unencrypted_credentials_are_warned_of(monkeypatch, capsys):
    monkeypatch.setenv("TAMPERSCAN_DICOMWEB_TOKEN", "secret")
    access_to("https://pacs.example/dicom-web", None, None, 60)
    assert capsys.readouterr().err == ""
    access_to("http://pacs.example/dicom-web", None, None, 60)
    message = capsys.readouterr().err
    assert "unencrypted" in message
    assert "secret" not in message
