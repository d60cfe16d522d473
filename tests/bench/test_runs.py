"""The whole way, on a few real slices."""

import json

import pytest
from typer.testing import CliRunner

from tamperscan.bench.document import Provenance
from tamperscan.bench.runs import Request, run_ctgan
from tamperscan.bench.subjects import load_reference, made_of
from tamperscan.cli.bench import app
from tamperscan.data import packaged_weights
from tamperscan.diffusion.weights import Card
from tamperscan.errors import WeightsError

FEW = ("2997_63.dcm", "2997_45.dcm", "4753_138.dcm")
PATIENTS = ("SIIM_TCGA-LUAD_TCGA-34-5231", "SIIM_TCGA-LUAD_TCGA-51-6867")

needs_detector = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


@pytest.fixture
def few_scans(few_of, real_scans, tmp_path):
    return few_of(real_scans, tmp_path, FEW, PATIENTS)


@needs_detector
def test_ctgan_on_real_slices(few_scans):
    result = run_ctgan(Request(few_scans, "ct", few_scans / "split.json"))
    everything = {group.kind: group for group in result.groups if group.half == "all"}
    assert (everything["FB"].slices, everything["FM"].slices) == (2, 1)
    assert result.authentic_patients == 2
    assert 0 <= everything["FB"].auc.value <= 1
    assert everything["FB"].within.value > 0.5
    assert result.not_held_out == ()


@needs_detector
def test_the_command_writes_its_section(few_scans):
    page = few_scans / "results.md"
    options = ["--data", few_scans, "--split", few_scans / "split.json", "--write", page, "--json"]
    done = CliRunner().invoke(app, ["ctgan", *map(str, options)], catch_exceptions=False)
    assert done.exit_code == 0
    assert json.loads(done.stdout)["ctgan"]["authentic_patients"] == 2
    assert "<!-- begin: ctgan -->" in page.read_text()
    assert str(few_scans.parent) not in page.read_text()


@needs_detector
def test_false_alarms_on_real_slices(few_scans):
    options = ["--data", few_scans, "--split", few_scans / "split.json", "--no-seen", "--json"]
    done = CliRunner().invoke(app, ["authentic", *map(str, options)], catch_exceptions=False)
    result = json.loads(done.stdout)["authentic"]
    assert len(result["scans"]) == 5
    assert all(scan["scanner"] for scan in result["scans"])


def test_a_detector_that_is_not_there_is_told(tmp_path):
    with pytest.raises(WeightsError, match="no detector of this name"):
        load_reference(tmp_path / "nothing")


def test_what_a_detector_was_made_of():
    card = Card(
        name="ours",
        kind="low-noise",
        modality="CT",
        window=(-1050, 450),
        crop_px=96,
        training={"scans": [{"name": "a"}]},
        calibration={"scans": [{"name": "b", "patient": "p"}]},
    )
    assert made_of(card) == {"a", "b"}


@needs_detector
def test_precision_on_real_slices(few_scans):
    from tamperscan.bench.precision import precision_page, run_precision

    result = run_precision(Request(few_scans, "ct", few_scans / "split.json"))
    assert "float32" in result.exact.runtime
    assert result.slices >= 4
    assert result.differences[1] < 0.5
    assert abs(result.exact.auc["FB"].value - result.quick.auc["FB"].value) < 0.3
    page = precision_page(result, Provenance("tamperscan bench precision", "abc"))
    assert result.quick.runtime in page
