"""How ``tamperscan archive`` tells how far it is: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tamperscan.cli.console import TransientProgress, tell_note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LINE_EVERY = 60.0
"""Seconds between two lines where nobody looks at a terminal."""


class ArchiveProgress(TransientProgress):
    """Listens to a run, and tells its progress on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._began = self._told = time.monotonic()
        self._task: TaskID | None = None
        self._before = 0
        self._known = False

    def listen(self, event: Mapping[str, Any]) -> None:
        """Take in what happens in a run."""
        if event["event"] == "started":
            self._began = time.monotonic()
            self._known = False
            count = event["workers"]
            tell_note(f"{count} {'worker screens' if count == 1 else 'workers screen'} ({event['device']}).")
        elif event["event"] == "lost":
            tell_note(f"the cluster does not answer; it is waited for ({event['message']})")
        elif sys.stderr.isatty():
            self._draw(event)
        elif time.monotonic() - self._told > LINE_EVERY:
            self._told = time.monotonic()
            tell_note(self.words(event))

    def words(self, event: Mapping[str, Any]) -> str:
        """Tell progress in one line: what is done, how fast, and how long it takes yet."""
        elapsed = max(time.monotonic() - self._began, 1e-3)
        verdicts = event["verdicts"]
        files = f"{event['files_done']:,} of {event['files']:,}" if event["counted"] else f"{event['files_done']:,}"
        told = f"{files} files, {event['series']:,} series ({60 * event['series'] / elapsed:.1f} a minute"
        told += f", {event['slices'] / elapsed:.1f} slices a second)"
        told += f", {verdicts.get('suspicious', 0):,} suspicious, {verdicts.get('failed', 0):,} failed"
        left = self.seconds_left(event, elapsed)
        return told + (f"; about {in_words(left)} left" if left is not None else "")

    def seconds_left(self, event: Mapping[str, Any], elapsed: float) -> float | None:
        """Judge how long it takes yet, by the files that were done since it began; None while that is not known."""
        if not self._known:  # files that an earlier run has done take no time
            self._known, self._before = event["series"] > 0, event["files_done"]
        done = event["files_done"] - self._before
        if not event["counted"] or done <= 0 or not event["series"]:
            return None
        left = float(event["files"] - event["files_done"])
        return max(0.0, elapsed * left / float(done))

    def _draw(self, event: Mapping[str, Any]) -> None:
        progress = self._progress or self._start()
        if self._task is None:
            self._task = progress.add_task("Screening", total=None)
        total = event["files"] if event["counted"] else None
        progress.update(self._task, completed=event["files_done"], total=total, description=self.words(event))

    def _start(self) -> Progress:
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn

        return self.show(BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))


def in_words(seconds: float) -> str:
    """Tell a time in the unit that fits."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
