import pytest
import typer
from typer.testing import CliRunner

from tamperscan.cli.console import new_app
from tamperscan.cli.default_group import default_group

app = new_app(cls=default_group("run"), no_args_is_help=True)


@app.callback(epilog="Example: program folder")
def program() -> None:
    """Do things."""


@app.command("run", hidden=True)
def run(path: str, size: int = typer.Option(1, "--size", help="How large.")) -> None:
    """Run it."""
    print(f"ran {path} at {size}")


@app.command("other")
def other(path: str = "nothing") -> None:
    """Do something else."""
    print(f"other {path}")


def call(*words):
    return CliRunner().invoke(app, list(words), prog_name="program")


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["folder"], "ran folder at 1"),
        (["folder", "--size", "3"], "ran folder at 3"),
        (["--size", "3", "folder"], "ran folder at 3"),
        (["run"], "ran run at 1"),
        (["./other"], "ran ./other at 1"),
        (["other"], "other nothing"),
        (["other", "--path", "x"], "other x"),
    ],
)
def test_what_runs(words, printed):
    result = call(*words)
    assert result.exit_code == 0
    assert result.stdout.strip() == printed


def test_help_shows_both():
    shown = call("--help").stdout
    for part in ("Do things.", "--size", "How large.", "other", "Do something else.", "Example: program folder"):
        assert part in shown
    assert "run" not in shown.replace("program", "")


def test_without_a_word_help_is_shown():
    assert "--size" in call().output


def test_help_of_the_command_that_runs():
    assert "Run it." in call("folder", "--help").stdout


def test_wrong_usage_is_told_by_the_groups_name():
    result = call("folder", "--nonsense")
    assert result.exit_code == 2
    assert "program run" not in result.stderr
    assert "nonsense" in result.stderr


flagged = new_app(cls=default_group("run", {"--other": "other"}))
flagged.command("run", hidden=True)(run)
flagged.command("other")(other)


@pytest.mark.parametrize("words", [["--other", "--path", "x"], ["--path", "x", "--other"], ["other", "--path", "x"]])
def test_an_option_may_name_a_command(words):
    assert CliRunner().invoke(flagged, words).stdout.strip() == "other x"
    assert CliRunner().invoke(flagged, ["folder"]).stdout.strip() == "ran folder at 1"
