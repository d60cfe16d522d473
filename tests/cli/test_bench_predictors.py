from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tamperscan.cli.bench import app
from tamperscan.errors import BenchError

pytest.importorskip("torch")


def test_help_names_every_option():
    told = CliRunner().invoke(app, ["predictors", "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    for option in (
        "--data",
        "--split",
        "--runs",
        "--steps",
        "--student",
        "--variants",
        "--threads",
        "--write",
        "--json",
    ):
        assert option in told.output


def test_unknown_variant_is_said_before_anything_is_trained(tmp_path):
    told = CliRunner().invoke(app, ["predictors", "--variants", "middle,huge", "--runs", str(tmp_path / "runs")])
    assert isinstance(told.exception, BenchError)
    assert "no variant 'huge'" in str(told.exception)
    assert not (tmp_path / "runs").exists()
