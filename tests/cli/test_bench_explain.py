from __future__ import annotations

import typer
from typer.testing import CliRunner

from tamperscan.cli.bench_explain import explain

app = typer.Typer(add_completion=False)
app.command()(explain)


def test_help_names_every_option():
    told = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    for option in ("--data", "--detector", "--split", "--out", "--write", "--json"):
        assert option in told.output


def test_a_folder_without_labels_is_an_error(tmp_path):
    done = CliRunner().invoke(app, ["--data", str(tmp_path)])
    assert done.exit_code != 0
    assert "labels.csv" in str(done.exception)
