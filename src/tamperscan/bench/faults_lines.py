"""Faults of commands that talk to an archive: ``pull`` and ``push``, killed, without room, and with the line cut."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tamperscan.bench.faults_archive import Line, WebArchive
from tamperscan.bench.faults_trial import Row, Tell, Trial
from tamperscan.bench.node_instances import write_series

CUT: Final = "line cut"
_SLICES: Final = 12
_SIDE: Final = 128


def line_rows(name: str, out: Path, *, kills: int, others: int, seed: int, tell: Tell) -> list[Row]:
    """Try faults on ``pull`` or ``push``.

    Parameters
    ----------
    name
        Which of the two.
    out
        Folder for inputs and results.
    kills, others
        How often it is killed, and how often each of the other faults is tried.
    seed
        Chooses moments, sizes and limits.
    tell
        Is told how it goes.
    """
    folder = out / name
    shutil.rmtree(folder, ignore_errors=True)
    chance = random.Random(f"{seed} {name}")
    trial = _LineTrial(name, folder, chance)
    with trial.open():
        trial.begin()
        tell(f"{name}: {trial.usual.ended.seconds:.0f} s undisturbed, {len(trial.usual.digests)} files")
        rows = [trial.killed(kills), trial.cut(others)]
        rows += [trial.disk_full(others)] if name == "pull" else []
    return rows


class _LineTrial(Trial):
    """A command at the end of a line to an archive."""

    def __init__(self, name: str, folder: Path, chance: random.Random) -> None:
        super().__init__(name, folder, chance)
        self._series = folder / "series"
        write_series(self._series, slices=_SLICES, side=_SIDE, seed=7)
        self._line: Line
        self._opened = ExitStack()
        self._archive: WebArchive | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """Run the archive and the line to it."""
        with ExitStack() as stack:
            archive = stack.enter_context(WebArchive(self._series if self.name == "pull" else self.folder / "none"))
            self._line = stack.enter_context(Line(archive.port))
            yield

    def fresh(self, name: str) -> Path:
        """Make an empty folder for results; of ``push``, those that arrive in an archive of its own."""
        out = super().fresh(name)
        if self.name == "push":
            self._opened.close()
            self._archive = self._opened.enter_context(WebArchive(out))
            self._line.to = self._archive.port
        return out

    def words(self, out: Path) -> list[str]:
        """Return the command line."""
        url = f"http://127.0.0.1:{self._line.port}"
        if self.name == "pull":
            return ["pull", "--from", url, "--query", "PatientID=S1", "--out", str(out), "--timeout", "10"]
        return ["push", str(self._series), "--to", url, "--timeout", "10"]

    def cut(self, times: int) -> Row:
        """Cut the line after any number of bytes, and let the command go on when it is mended."""
        row = Row(self.name, CUT)
        before = self._line.carried
        self.run(self.fresh("measured"))
        usual = self._line.carried - before
        for _ in range(times):
            out = self.fresh("cut")
            self._line.cut_after(self.chance.randint(1, max(2, usual)))
            ended = self.run(out)
            row.tried += 1
            row.struck += ended.code != 0
            self.look(row, out, ended)
            self._line.cut_after(-1)
            self.go_on(row, out)
        return row

    def compare(self, row: Row, out: Path) -> None:
        """Compare, and count instances that came with two contents."""
        super().compare(row, out)
        if self.name == "push" and self._archive is not None:
            twice = [uid for uid, digests in self._archive.arrivals.items() if len(set(digests)) > 1]
            row.twice += len(twice)
            row.notes += [f"stored with two contents: {uid}" for uid in twice]
