from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tamperscan.cli.node import app
from tamperscan.errors import ServeError

pytest.importorskip("pynetdicom")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def test_help_names_every_option_and_command():
    told = run("--help")
    assert told.exit_code == 0
    for word in ("--rules", "--home", "--check", "status", "retry", "drain", "Example:"):
        assert word in told.output
    for command in ("status", "retry", "drain"):
        assert "Example:" in run(command, "--help").output


def test_rules_are_checked_without_starting(tmp_path):
    (tmp_path / "good.yaml").write_text("rules: [{name: all}]")
    done = run("--rules", tmp_path / "good.yaml", "--check", "--home", tmp_path / "home")
    assert done.exit_code == 0
    assert "Rules: 1;" in done.output
    assert not (tmp_path / "home").exists()


def test_rules_with_an_error_are_refused_at_start(tmp_path):
    (tmp_path / "bad.yaml").write_text("rules:\n  - name: all\n    screeen: true\n")
    done = run("--rules", tmp_path / "bad.yaml", "--home", tmp_path / "home")
    assert isinstance(done.exception, ServeError)
    assert "line 3" in str(done.exception)
    assert not (tmp_path / "home").exists()


def test_a_port_that_is_taken_is_told(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "r.yaml").write_text(f"node: {{port: {port}, metrics_port: 0}}\nrules: [{{name: all}}]")
        done = run("--rules", tmp_path / "r.yaml", "--home", tmp_path / "home")
    assert isinstance(done.exception, ServeError)
    assert str(port) in str(done.exception)


@pytest.mark.parametrize("command", ["status", "retry", "drain"])
def test_where_no_node_ran_there_is_nothing_to_tell(tmp_path, command):
    done = run(command, "--home", tmp_path)
    assert isinstance(done.exception, ServeError)
    assert "no node has run here" in str(done.exception)


def test_status_of_an_empty_home(tmp_path):
    from tamperscan.serve.database import Database
    from tamperscan.serve.home import Home

    home = Home(tmp_path / "home")
    home.prepare()
    Database(home).close()
    status = json.loads(run("status", "--home", home.root, "--json").output)
    assert status["running"] is False
    assert status["dead_letters"] == []
    assert run("retry", "--home", home.root).output == "Tried again: 0 screenings, 0 deliveries.\n"
