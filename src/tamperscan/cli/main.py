"""The ``tamperscan`` command.

Commands are loaded when they are called, so that ``tamperscan --help`` is quick however many there are. To
add one, write a module ``tamperscan.cli.<name>`` that holds ``app = new_app()``, and add a line to
:data:`COMMANDS`. Where ``app`` has one ``@app.command()`` and no callback, that is the command itself; where
it has several, or an ``@app.callback()``, they become sub-commands (``tamperscan weights list``). At its head
such a module imports ``typer`` and ``tamperscan.cli.console``, nothing heavier; the rest is imported where it
is used.

A command ends with 0 by returning, and with another code by ``raise typer.Exit(code)``. It lets errors rise:
this module tells them in plain words and ends with

=== =====================================================================
0   done
1   done, and something is suspicious (``screen --exit-code``) or not as it was (``audit``)
2   wrong usage
3   something named could not be read, or a result not be written; no memory, no room
70  a fault in tamperscan
130 interrupted with Ctrl-C
=== =====================================================================
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tamperscan.cli.console import (
    INTERNAL_ERROR,
    INTERRUPTED,
    UNREADABLE,
    debugging,
    in_one_line,
    new_app,
    tell_error,
)
from tamperscan.cli.resources import out_of_resources
from tamperscan.errors import TamperscanError

COMMANDS = {
    "screen": "Screen scans for tampering, and write a report on each.",
    "demo": "Screen the packaged sample, and see what a report looks like.",
    "train": "Train a noise predictor on authentic scans.",
    "train-head": "Train the self-forged head of a detector on authentic scans.",
    "calibrate": "Make a detector of trained weights, with authentic scans.",
    "drift": "See whether results go over time as the calibration says.",
    "weights": "Import, show and check weights.",
    "forge": "Make tampered scans with known truth, to measure detectors with.",
    "serve": "Show scans, findings and a worklist in a browser.",
    "pull": "Fetch series from an archive by DICOMweb.",
    "push": "Store DICOM files in an archive by DICOMweb.",
    "archive": "Screen a whole archive, on this machine or on a cluster.",
    "audit": "Check the audit trail, and what has become of studies since.",
    "node": "Receive studies by DICOM, screen them, and send the results back.",
    "bench": "Measure a detector on tampered and authentic scans, and its speed.",
}
"""Name and short help of each command, in the order of ``--help``; a ``-`` is a ``_`` in a module's name."""


class LazyGroup(TyperGroup):
    """A group that loads a command's module when the command is called, not when it is listed."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Put the real command in the place of its stand-in, then let typer find it."""
        name = args[0]
        if name in COMMANDS:
            module = import_module(f"tamperscan.cli.{name.replace('-', '_')}")
            self.commands[name] = get_command(module.app)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C ends with 130, whatever the version of typer makes of it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            tell_error("interrupted. What was written before stays.")
            raise typer.Exit(INTERRUPTED) from None


app = new_app(cls=LazyGroup, no_args_is_help=True, add_completion=True)


def _stand_in() -> None:
    """Be listed by ``--help``; never run."""


for _name, _help in COMMANDS.items():
    app.command(_name, help=_help)(_stand_in)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tamperscan {version('tamperscan')}")
        raise typer.Exit


@app.callback(epilog="Example: tamperscan screen study/ --out results")
def _tamperscan(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and end."),
    ] = False,
) -> None:
    """Tell whether a CT or MR scan was tampered with, where, and how sure that is.

    Research use only. Not a medical device. Not for diagnosis.
    """


def main() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if not sys.warnoptions and not debugging():
        warnings.simplefilter("ignore")  # what matters of them stands in a scan's own warnings
    try:
        app(prog_name="tamperscan")
    except Exception as error:
        if debugging():
            raise
        ours = isinstance(error, TamperscanError)
        tell_error(str(error) if ours else in_one_line(error))
        sys.exit(UNREADABLE if ours or out_of_resources(error) else INTERNAL_ERROR)
    sys.exit(0)


if __name__ == "__main__":
    main()
