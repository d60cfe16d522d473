import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tamperscan.cli.main import COMMANDS

HEAVY = (
    "numpy",
    "scipy",
    "matplotlib",
    "onnxruntime",
    "pydicom",
    "nibabel",
    "torch",
    "jinja2",
    "PIL",
)


def loaded_modules(*arguments):
    """Names of the modules that a run of the command loads."""
    program = (
        "import sys, tamperscan.cli.main as main\n"
        f"sys.argv = ['tamperscan', *{arguments!r}]\n"
        "try: main.main()\n"
        "except SystemExit: print('loaded', *sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("screen", "--help"), ("demo", "--help")])
def test_help_loads_nothing_heavy(arguments):
    modules = loaded_modules(*arguments)
    assert "tamperscan.cli.main" in modules
    assert modules.isdisjoint(HEAVY), modules & set(HEAVY)


def test_help_loads_no_command():
    assert not {f"tamperscan.cli.{name}" for name in COMMANDS} & loaded_modules("--help")


def test_help_lists_every_command(tamperscan):
    run = tamperscan("--help")
    assert run.returncode == 0
    assert "not a medical device" in run.stdout.lower()
    for name, short_help in COMMANDS.items():
        assert name in run.stdout
        assert short_help.split()[0] in run.stdout


@pytest.mark.parametrize("command", ["screen", "demo"])
def test_help_of_a_command_has_an_example(tamperscan, command):
    run = tamperscan(command, "--help")
    assert run.returncode == 0
    assert f"Example: tamperscan {command}" in run.stdout


@pytest.mark.parametrize("command", ["screen", "demo"])
def test_every_option_is_documented(tamperscan, command):
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
    for option in set(re.findall(r"--[a-z-]+", tamperscan(command, "--help").stdout)):
        assert option in reference


def test_version(tamperscan):
    run = tamperscan("--version")
    assert run.stdout == f"tamperscan {version('tamperscan')}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("scren",),
        ("--no-such-option",),
        ("screen",),
        ("screen", "x", "--alarm-rate", "2"),
        ("screen", "x", "--nonsense"),
    ],
)
def test_wrong_usage_ends_with_2(tamperscan, arguments):
    run = tamperscan(*arguments)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "Usage: tamperscan" in run.stdout + run.stderr


def test_mistyped_command_is_guessed(tamperscan):
    assert "Did you mean 'screen'?" in tamperscan("scren").stderr


def failing_main(error, environment=""):
    """Run main with a command that raises an error."""
    program = (
        "import os, sys, tamperscan.cli.main as main\n"
        f"os.environ['TAMPERSCAN_DEBUG'] = {environment!r}\n"
        "from tamperscan.errors import *\n"
        f"def broken(): raise {error}\n"
        "main.app.command('broken')(broken)\n"
        "sys.argv = ['tamperscan', 'broken']\n"
        "main.main()"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("error", ["ScanError('a.dcm', 'is damaged', 'Copy it again')", "WeightsError('a.dcm: is')"])
def test_our_errors_are_told_without_traceback(error):
    run = failing_main(error)
    assert run.returncode == 3
    assert run.stderr.startswith("Error: a.dcm: is")
    assert run.stderr.count("\n") == 1


def test_other_errors_are_told_in_one_line():
    run = failing_main("ValueError('many\\nlines')")
    assert run.returncode == 70
    assert run.stderr.startswith("Error: ValueError: many lines. This is a fault in tamperscan")
    assert "TAMPERSCAN_DEBUG=1" in run.stderr
    assert run.stderr.count("\n") == 1


def test_debugging_shows_the_traceback():
    assert "Traceback" in failing_main("ValueError('x')", environment="1").stderr


def test_interrupt_ends_with_130():
    run = failing_main("KeyboardInterrupt")
    assert run.returncode == 130
    assert "What was written before stays." in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("error", ["MemoryError()", "OSError(12, 'Cannot allocate memory', 'cli')"])
@pytest.mark.parametrize("module", ["tamperscan.cli.main", "typer", "tamperscan.cli.screen"])
def test_memory_that_runs_out_while_modules_are_loaded(module, error):
    program = (
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: raise {error}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['tamperscan', 'screen', 'nowhere']\n"
        "from tamperscan.__main__ import main\n"
        "main()"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 3
    assert run.stderr == "Error: not enough memory. End other programs, allow more, or give less at a time.\n"


@pytest.mark.parametrize("debugging", ["", "1"])
@pytest.mark.parametrize("where", ["thread", "finaliser"])
def test_memory_that_runs_out_where_nobody_can_catch_it(where, debugging):
    program = (
        "import sys, threading\n"
        "def fail(*_): raise MemoryError\n"
        "def command():\n"
        f"    if {where!r} == 'thread':\n"
        "        thread = threading.Thread(target=fail); thread.start(); thread.join()\n"
        "    else:\n"
        "        type('Fails', (), {'__del__': fail})()\n"
        "    sys.exit(0)\n"
        "import tamperscan.cli.main\n"
        "tamperscan.cli.main.main = command\n"
        "from tamperscan.__main__ import main\n"
        "main()"
    )
    environment = {**os.environ, "TAMPERSCAN_DEBUG": debugging}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert ("Traceback" in run.stderr) == bool(debugging)
    assert ("not enough memory" in run.stderr) != bool(debugging)
