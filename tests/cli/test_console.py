import io
import sys

import pytest

from tamperscan.cli import console
from tamperscan.cli.console import Bar, debugging, in_one_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def as_terminal(monkeypatch):
    """Make stderr a terminal; to be called in the test, as pytest sets stderr anew after its fixtures."""

    def call():
        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setenv("TERM", "xterm")
        return sys.stderr

    return call


def test_bar_is_quiet_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setattr(console, "PATIENCE_SECONDS", 0)
    with Bar("Working") as bar:
        bar.update(1, 2)
    assert sys.stderr.getvalue() == ""


def test_bar_is_quiet_for_quick_work(as_terminal):
    terminal = as_terminal()
    with Bar("Working") as bar:
        bar.update(1, 2)
    assert terminal.getvalue() == ""


def test_bar_shows_slow_work(as_terminal, monkeypatch):
    terminal = as_terminal()
    monkeypatch.setattr(console, "PATIENCE_SECONDS", 0)
    with Bar("Working on [x]") as bar:
        bar.update(1, 2)
        bar.update(2, 2)
    assert "Working on [x]" in terminal.getvalue()
    assert "2/2" in terminal.getvalue()


@pytest.mark.parametrize(("value", "expected"), [("", False), ("0", False), ("1", True)])
def test_debugging(monkeypatch, value, expected):
    monkeypatch.setenv("TAMPERSCAN_DEBUG", value)
    assert debugging() is expected


def test_error_without_words():
    assert in_one_line(RuntimeError()).startswith("RuntimeError: no further words.")


def test_results_and_notices_are_apart(capsys):
    console.results().print("[b]result[/b]")
    console.notices().print("notice")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("[b]result[/b]\n", "notice\n")
