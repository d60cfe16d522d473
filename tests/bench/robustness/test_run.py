"""The whole way, on a few real slices."""

import json

import pytest
from typer.testing import CliRunner

from tamperscan.bench.robustness.run import RobustnessRequest, run_robustness
from tamperscan.bench.robustness.subjects import at_most
from tamperscan.cli.bench import app
from tamperscan.data import packaged_weights
from tamperscan.errors import BenchError

FEW = ("2997_63.dcm", "4753_138.dcm")
PATIENTS = ("SIIM_TCGA-LUAD_TCGA-34-5231", "SIIM_TCGA-LUAD_TCGA-51-6867")

needs_detector = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


@pytest.fixture
def few_scans(few_of, real_scans, tmp_path):
    return few_of(real_scans, tmp_path, FEW, PATIENTS)


@needs_detector
def test_the_command_goes_on_and_writes_its_section(few_scans):
    page, out = few_scans / "page.md", few_scans / "out"
    options = ["--data", few_scans, "--split", few_scans / "split.json", "--out", out, "--write", page, "--json"]
    options += ["--treatments", "jpeg-75,touched-up", "--most", "1", "--attacked", "0", "--blocks", "0"]
    done = CliRunner().invoke(app, ["--robustness", *map(str, options)], catch_exceptions=False)
    assert done.exit_code == 0
    result = json.loads(done.stdout)["laundering"]
    untreated, compressed, _ = result["treatments"]
    assert untreated["verdicts"]["authentic"]["traces"] == {}
    assert compressed["verdicts"]["tampered"]["traces"]["block compression"] == 2
    assert compressed["verdicts"]["tampered"]["abstained"]["value"] == 1.0
    assert not any(result["scans_recognised"].values())
    assert "<!-- begin: laundering -->" in page.read_text()
    lines = (out / "slices.jsonl").read_text().splitlines()
    again = CliRunner().invoke(app, ["robustness", *map(str, options)], catch_exceptions=False)
    assert json.loads(again.stdout)["laundering"] == result
    assert (out / "slices.jsonl").read_text().splitlines() == lines


def test_an_unknown_treatment_is_told(tmp_path):
    with pytest.raises(BenchError, match=r"no treatment 'magic'\. Choose from none, quantised-2"):
        run_robustness(RobustnessRequest(tmp_path, tmp_path / "split.json", tmp_path / "out", treatments=("magic",)))


def test_at_most_takes_from_each_scan(subject):
    assert len(at_most([subject] * 5, 2)) == 2
    assert len(at_most([subject] * 5, None)) == 5
