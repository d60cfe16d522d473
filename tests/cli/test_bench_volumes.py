from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tamperscan.cli.bench import app
from tamperscan.data import packaged_weights

PHANTOMS = Path(__file__).parents[1] / "bench" / "phantoms.py"

needs_packaged = pytest.mark.skipif("ct" not in packaged_weights(), reason="no packaged weights")


def write_data(folder):
    """Two held-out patients with a volume of one block each."""
    spec = importlib.util.spec_from_file_location("phantoms", PHANTOMS)
    phantoms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(phantoms)
    for seed, name in enumerate(("one", "two"), start=1):
        phantoms.write_nifti(folder / "data" / "ct" / f"{name}.nii.gz", phantoms.chest_scan(seed, 10).voxels)
    (folder / "split.json").write_text(json.dumps({"train": [], "calibrate": ["one*"], "test": ["two*"]}))
    return folder


def test_help_names_every_option():
    told = CliRunner().invoke(app, ["volumes", "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    for option in ("--out", "--data", "--detector", "--head", "--split", "--methods", "--blocks", "--seed", "--write"):
        assert option in told.output


def test_a_folder_is_asked_for():
    done = CliRunner().invoke(app, ["volumes"])
    assert done.exit_code == 2
    assert "--out" in done.output


@needs_packaged
def test_the_whole_command(tamperscan, tmp_path):
    folder = write_data(tmp_path)
    words = ["bench", "volumes", "--out", folder / "out", "--data", folder / "data", "--split", folder / "split.json"]
    words += ["--methods", "smooth", "--threads", "1"]
    page = tmp_path / "docs" / "results.md"
    done = tamperscan(*words, "--write", page)
    assert done.returncode == 0, done.stderr
    assert "2 blocks of 2 patients, 2 forgeries: 2 are still to be made" in done.stderr
    assert "<!-- begin: volumes -->" in page.read_text()
    assert str(tmp_path) not in page.read_text()
    again = tamperscan(*words, "--json")
    assert again.returncode == 0, again.stderr
    assert "0 are still to be made" in again.stderr
    (method,) = json.loads(again.stdout)["volumes"]["methods"]
    assert (method["method"], method["action"], method["related"], method["patients"]) == ("smooth", "remove", True, 2)


def test_what_is_missing_or_unknown_is_told_in_a_line(tamperscan, tmp_path):
    folder = write_data(tmp_path)
    words = ["bench", "volumes", "--out", folder / "out", "--data", folder / "data", "--split", folder / "split.json"]
    done = tamperscan(*words, "--methods", "magic")
    assert done.returncode != 0
    assert "magic" in done.stderr
    assert "Traceback" not in done.stderr
    (folder / "split.json").write_text(json.dumps({"calibrate": [], "test": []}))
    done = tamperscan(*words, "--methods", "smooth")
    assert done.returncode != 0
    assert "held-out volume" in done.stderr
    assert "Traceback" not in done.stderr
