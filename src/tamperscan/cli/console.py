"""What all commands share at the terminal: two consoles, progress bars, and how an error is told.

Results go to stdout, everything else to stderr, so that output can be piped on. Imported by every command, so
rich is loaded only when something is printed.
"""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import typer

from tamperscan.cli.resources import out_of_resources
from tamperscan.plain_text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

DONE = 0
SUSPICIOUS = 1
WRONG_USAGE = 2
UNREADABLE = 3
INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h, well clear of the codes that mean something
INTERRUPTED = 130
PATIENCE_SECONDS = 2.0
"""Work that is done sooner needs no progress bar."""


def new_app(**settings: Any) -> typer.Typer:
    """Make a command's ``app``: plain help, and completion left to the main command.

    Parameters
    ----------
    settings
        Further arguments of ``typer.Typer``.
    """
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, **{"add_completion": False} | settings)


def results() -> Console:
    """Give the console that results are printed on (stdout)."""
    from rich.console import Console

    return Console(markup=False, emoji=False)


def notices() -> Console:
    """Give the console for errors, warnings and progress (stderr)."""
    from rich.console import Console

    return Console(stderr=True, markup=False, emoji=False)


def debugging() -> bool:
    """Whether ``TAMPERSCAN_DEBUG`` asks for tracebacks."""
    return os.environ.get("TAMPERSCAN_DEBUG", "") not in ("", "0")


def in_one_line(error: BaseException) -> str:
    """Tell an error that is not of tamperscan's own making, and what to do or how to learn more."""
    short = out_of_resources(error)
    if short is not None:
        return short
    what = " ".join(str(error).split()) or "no further words"
    return (
        f"{type(error).__name__}: {what}. This is a fault in tamperscan; please report it with the "
        f"traceback that you get with TAMPERSCAN_DEBUG=1 set."
    )


def tell_error(problem: Exception | str) -> None:
    """Print an error on stderr, in one line however narrow the terminal."""
    print(f"Error: {printable(str(problem))}", file=sys.stderr)


def tell_note(message: str) -> None:
    """Tell what is worth knowing and no failure, in one line on stderr."""
    print(f"Note: {printable(message)}", file=sys.stderr)


class TransientProgress:
    """Progress on stderr that is shown once there is something to show, and leaves nothing behind."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def show(self, *columns: ProgressColumn) -> Progress:
        """Begin to show."""
        from rich.progress import Progress

        self._progress = Progress(*columns, console=notices(), transient=True, redirect_stdout=False)
        self._progress.start()
        return self._progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()


class Bar(TransientProgress):
    """A progress bar on stderr: only in a terminal, and only for work over two seconds.

    ::

        with Bar("Screening chest-1") as bar:
            detector.screen(scan, progress=bar.update)

    Parameters
    ----------
    label
        What is being done.
    """

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label
        self._quiet = not sys.stderr.isatty()
        self._began = time.monotonic()
        self._task: TaskID | None = None

    def update(self, done: int, total: int) -> None:
        """Say that ``done`` of ``total`` steps are done."""
        if self._quiet or (self._progress is None and time.monotonic() - self._began < PATIENCE_SECONDS):
            return
        progress = self._progress or self._start()
        if self._task is None:
            self._task = progress.add_task(self._label, total=total)
        progress.update(self._task, completed=done, total=total)

    def _start(self) -> Progress:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        text = TextColumn("{task.description}", markup=False)
        return self.show(text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
