import json

import pytest

from tamperscan.serve.audit import RECEIVED, AuditLog, head_path
from tamperscan.serve.pixel_digest import decoded_digest, stored_digest


@pytest.fixture
def home(tmp_path, ct_series):
    """A home that received a series of four slices."""
    from pydicom import dcmread

    made = tmp_path / "home"
    made.mkdir()
    series = ct_series("chest")
    for path in series.iterdir():
        image = dcmread(path)
        facts = {"study": str(image.StudyInstanceUID), "instance": str(image.SOPInstanceUID)}
        digests = {"stored_sha256": stored_digest(path), "decoded_sha256": decoded_digest(path)}
        AuditLog(made / "audit.jsonl").append(RECEIVED, **facts, **digests)
    return made, series, facts["study"]


def test_an_intact_log(tamperscan, home):
    outcome = tamperscan("audit", "verify", str(home[0]))
    assert outcome.returncode == 0
    assert "audit.jsonl: intact, 4 lines" in outcome.stdout
    assert "only an anchor kept elsewhere" in outcome.stdout


def test_an_altered_log(tamperscan, home):
    log = home[0] / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"received", b"recieved", 1))
    outcome = tamperscan("audit", "verify", str(log), "--json")
    assert outcome.returncode == 1
    facts = json.loads(outcome.stdout)
    assert not facts["intact"]
    assert "Line 1 was altered" in facts["problems"][0]


def test_an_anchor_finds_what_the_log_hides(tamperscan, home, tmp_path):
    outcome = tamperscan("audit", "anchor", str(home[0]))
    assert outcome.returncode == 0
    (tmp_path / "anchors").write_text(outcome.stdout)
    verify = ("audit", "verify", str(home[0]), "--anchor", str(tmp_path / "anchors"))
    assert tamperscan(*verify).returncode == 0
    log = home[0] / "audit.jsonl"
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    head_path(log).unlink()
    outcome = tamperscan(*verify)
    assert outcome.returncode == 1
    assert "had 4 when its anchor was made: cut" in outcome.stdout


def test_a_log_is_shown_and_steers_no_terminal(tamperscan, home):
    AuditLog(home[0] / "audit.jsonl").append("refused", reason="\x1b[31mred")
    outcome = tamperscan("audit", "show", str(home[0]), "--event", "refused")
    assert outcome.stdout.startswith("5 ")
    assert "reason=?[31mred" in outcome.stdout
    assert len(tamperscan("audit", "show", str(home[0]), "--study", home[2], "--json").stdout.splitlines()) == 4


def test_a_copy_is_compared(tamperscan, home):
    where, series, study = home
    command = ("audit", "compare", study, "--home", str(where), "--copy", str(series))
    outcome = tamperscan(*command)
    assert (outcome.returncode, outcome.stdout) == (0, f"Study {study}: 4 unchanged\n")
    next(series.iterdir()).unlink()
    outcome = tamperscan(*command, "--json")
    assert outcome.returncode == 1
    assert json.loads(outcome.stdout)["counts"]["missing"] == 1


@pytest.mark.parametrize("more", [(), ("--from", "http://127.0.0.1:9", "--copy", ".")])
def test_a_copy_is_named_once(tamperscan, home, more):
    assert tamperscan("audit", "compare", "1.2", "--home", str(home[0]), *more).returncode == 2


def test_a_study_that_is_not_known(tamperscan, home):
    outcome = tamperscan("audit", "compare", "1.2", "--home", str(home[0]), "--copy", str(home[1]))
    assert outcome.returncode == 3
    assert outcome.stderr.startswith("Error: ")
    assert "knows of no image" in outcome.stderr


def test_signatures_are_verified(tamperscan, ct_series):
    from pydicom import dcmread
    from signer import new_rsa_key, sign

    series = ct_series("chest")
    first, second, *_ = sorted(series.iterdir())
    for path in (first, second):
        sign(dcmread(path), new_rsa_key()).save_as(path)
    assert tamperscan("audit", "signatures", str(series)).stdout.endswith("2 valid, 0 altered, 0 unsupported\n")
    image = dcmread(second)
    image.PatientName = "Doe^John"
    image.save_as(second)
    outcome = tamperscan("audit", "signatures", str(series))
    assert outcome.returncode == 1
    assert f"{second}: ALTERED: what was signed is not what the file holds now" in outcome.stdout
    assert "by CN=Test Signer, as its certificate says, issued by itself, RSA 2048" in outcome.stdout
    lines = tamperscan("audit", "signatures", str(series), "--json").stdout.splitlines()
    assert [json.loads(line)["state"] for line in lines] == ["valid", "altered"]


def test_what_is_no_dicom_file_has_no_signatures(tamperscan, tmp_path):
    (tmp_path / "note.dcm").write_text("a note")
    outcome = tamperscan("audit", "signatures", str(tmp_path / "note.dcm"))
    assert outcome.returncode == 3
    assert "note.dcm: is not a DICOM file" in outcome.stderr
