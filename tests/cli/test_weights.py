import json
import subprocess
import sys
from pathlib import Path

import pytest

from tamperscan.data import packaged_weights
from tamperscan.diffusion.weights import CARD_FILE, NETWORK_FILE, Card, write_card

needs_packaged = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


@pytest.fixture
def folder(tmp_path):
    """A folder of weights whose network is no network: nothing here runs it."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / NETWORK_FILE).write_bytes(b"network")
    card = Card(
        name="our scanner",
        kind="low-noise",
        modality="CT",
        window=(-1050.0, 450.0),
        crop_px=96,
        levels_hu=(12.0, 20.0),
        files={NETWORK_FILE: ""},
        training={"scans": [{"name": "a", "slices": 30}, {"name": "b", "slices": 12}], "steps": 500, "seconds": 600},
        calibration={"patients": 19},
        licence="for our own use",
    )
    write_card(folder, card)
    return folder


def test_show_tells_what_the_weights_are(tamperscan, folder):
    run = tamperscan("weights", "show", folder)
    assert run.returncode == 0, run.stderr
    for fact in (
        "our scanner",
        "low-noise predictor, asked at 12, 20 HU",
        "-1050 to 450 HU",
        "on 2 scans with 42 slices, 500 steps, 10 minutes",
        "on 19 authentic patients; smallest p-value 0.05",
        "for our own use",
        str(folder),
    ):
        assert fact in run.stdout


def test_show_json_is_the_card(tamperscan, folder):
    run = tamperscan("weights", "show", folder, "--json")
    assert json.loads(run.stdout) == json.loads((folder / CARD_FILE).read_text())


def test_check_of_unaltered_weights(tamperscan, folder):
    run = tamperscan("weights", "check", folder)
    assert run.returncode == 0
    assert f"{NETWORK_FILE}: as its card says" in run.stdout


def test_check_json(tamperscan, folder):
    run = tamperscan("weights", "check", folder, "--json")
    document = json.loads(run.stdout)
    assert (document["name"], document["ok"]) == ("our scanner", True)


@pytest.mark.parametrize("command", ["check", "show"])
def test_altered_weights_end_with_3(tamperscan, folder, command):
    (folder / NETWORK_FILE).write_bytes(b"other")
    run = tamperscan("weights", command, folder)
    assert run.returncode == 3
    assert "It was altered or damaged" in run.stderr
    assert run.stderr.count("\n") == 1


def test_weights_that_are_not_there(tamperscan):
    run = tamperscan("weights", "check", "nothing")
    assert run.returncode == 3
    assert run.stderr.startswith("Error: ")


@needs_packaged
def test_packaged_weights_are_unaltered(tamperscan):
    run = tamperscan("weights", "check")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("command", ["import", "show", "check"])
def test_help_has_an_example_and_every_option_is_documented(tamperscan, command):
    run = tamperscan("weights", command, "--help")
    assert f"Example: tamperscan weights {command}" in run.stdout
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    for word in run.stdout.split():
        if word.startswith("--"):
            assert word.strip("., ") in reference


@pytest.mark.parametrize(
    "arguments", [("import",), ("import", "x.pt", "--out", "y"), ("import", "x.pt", "--modality", "pet", "--out", "y")]
)
def test_wrong_usage(tamperscan, arguments):
    assert tamperscan("weights", *arguments).returncode == 2


@pytest.mark.slow
def test_checkpoint_becomes_weights_that_can_be_used(tamperscan, tmp_path, ct_series):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    from tamperscan.diffusion.published import PublishedUNet

    torch.save({"model": PublishedUNet().state_dict()}, tmp_path / "CT_model.pt")
    run = tamperscan("weights", "import", tmp_path / "CT_model.pt", "--modality", "ct", "--out", tmp_path / "made")
    assert run.returncode == 0, run.stderr
    assert "published network" in tamperscan("weights", "show", tmp_path / "made").stdout
    run = tamperscan("screen", ct_series("chest"), "--detector", tmp_path / "made", "--json", "--no-pictures")
    assert json.loads(run.stdout)["verdict"] == "abstained"


def test_code_is_refused(tamperscan, tmp_path):
    torch = pytest.importorskip("torch")
    torch.save(torch.nn.Linear(1, 1), tmp_path / "CT_model.pt")
    run = tamperscan("weights", "import", tmp_path / "CT_model.pt", "--modality", "ct", "--out", tmp_path / "made")
    assert run.returncode == 3
    assert "contains code" in run.stderr
    assert not (tmp_path / "made").exists()


def test_without_torch():
    program = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "sys.argv = ['tamperscan', 'weights', 'import', 'x.pt', '--modality', 'ct', '--out', 'never-made']\n"
        "from tamperscan.cli.main import main\n"
        "main()\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 3
    assert "pip install 'tamperscan[train]'" in run.stderr


@pytest.mark.skipif("mr" not in packaged_weights(), reason="no packaged weights for MR")
def test_show_tells_how_few_patients_mr_stands_on(tamperscan):
    run = tamperscan("weights", "show", "mr")
    assert run.returncode == 0, run.stderr
    assert "of the scan's range" in run.stdout
    assert "parts of authentic scans of 3 patients" in run.stdout
