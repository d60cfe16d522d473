from __future__ import annotations

import csv
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
    """Authentic scans with one nodule on our list, and two slices that are said to be tampered with."""
    spec = importlib.util.spec_from_file_location("phantoms", PHANTOMS)
    phantoms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(phantoms)
    phantoms.write_bench_data(folder)
    tampered = folder / "data" / "ctgan"
    for seed, name in enumerate(("one", "two")):
        phantoms.write_nifti(tampered / f"{name}.nii.gz", phantoms.chest(50 + seed)[None])
    row, column = phantoms.PLACE
    rows = [("one.nii.gz", "FM", "1005", 1, column, row), ("two.nii.gz", "FB", "1438", 1, column, row)]
    with (tampered / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "type", "scan", "slice", "x", "y"), *rows])
    mark = {"file": "ct/test-2.nii.gz", "slice": 0, "row": row, "column": column, "diameter_mm": 9, "certainty": "sure"}
    (folder / "nodules.json").write_text(json.dumps({"nodules": [mark]}))
    return folder


def test_help_names_every_option():
    told = CliRunner().invoke(app, ["nodules", "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    for option in ("--data", "--detector", "--head", "--split", "--nodules", "--out", "--threads", "--write", "--json"):
        assert option in told.output


@needs_packaged
def test_the_whole_command(tamperscan, tmp_path):
    folder = write_data(tmp_path)
    words = ["bench", "nodules", "--data", folder / "data", "--split", folder / "split.json"]
    words += ["--nodules", folder / "nodules.json", "--out", folder / "out", "--threads", "1"]
    page = tmp_path / "docs" / "results.md"
    done = tamperscan(*words, "--write", page)
    assert done.returncode == 0, done.stderr
    assert "<!-- begin: nodules -->" in page.read_text()
    assert str(tmp_path) not in page.read_text()
    scored = (folder / "out" / "scores.jsonl").read_text()
    again = tamperscan(*words, "--json")
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)["nodules"]
    assert [spot["kind"] for spot in told["spots"]][:2] == ["injected", "removed"]
    assert [spot["group"] for spot in told["spots"] if spot["kind"] == "nodule"] == ["test-2*"]
    assert (folder / "out" / "scores.jsonl").read_text() == scored


def test_what_is_missing_is_told_in_a_line(tamperscan, tmp_path):
    done = tamperscan("bench", "nodules", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "labels.csv" in done.stderr
    assert "Traceback" not in done.stderr
    folder = write_data(tmp_path)
    words = ["bench", "nodules", "--data", folder / "data", "--split", folder / "split.json"]
    done = tamperscan(*words, "--nodules", folder / "none.json", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "none.json" in done.stderr
    assert "--nodules" in done.stderr
