"""Commands that are killed, run out of room, memory or network at random: whether what they leave can be trusted."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from tamperscan.bench.document import source_commit
from tamperscan.bench.faults_cases import LINES, PAGE, Case, cases
from tamperscan.bench.faults_lines import line_rows
from tamperscan.bench.faults_process import can_unplug
from tamperscan.bench.faults_serve import serve_row
from tamperscan.bench.faults_trial import Row, Tell, Trial
from tamperscan.files import make_folder, write_file

ROWS: Final = "rows.json"
"""What came of every command that was tried in a folder, the last time that it was."""


@dataclass(frozen=True)
class FaultsResult:
    """What came of all of it.

    Attributes
    ----------
    rows
        One for each command and fault.
    seed
        Chose moments, sizes and limits.
    skipped
        What could not be tried here, and why.
    commits
        By command, the source's state when it was tried.
    """

    rows: tuple[Row, ...]
    seed: int
    skipped: tuple[str, ...]
    commits: dict[str, str] = field(default_factory=dict)


def run_faults(
    names: Sequence[str] | None, data: Path, out: Path, *, kills: int, others: int, seed: int, tell: Tell = print
) -> FaultsResult:
    """Try every fault on every command.

    Parameters
    ----------
    names
        Which commands; None for all.
    data
        Folder of real scans.
    out
        For inputs and results; what is there of these commands is removed first. Rows of other commands that an
        earlier run left there are kept, and given too.
    kills
        How often a cheap command is killed; a costly one less often.
    others
        How often each of the other faults is tried.
    seed
        Chooses moments, sizes and limits.
    tell
        Is told how it goes.

    Raises
    ------
    BenchError
        If there is no such command, or one can't be prepared, or fails without any fault.
    """
    out = out.absolute()
    unplug = can_unplug()
    skipped = [] if unplug else ["no network: this user may not make a network of its own (unshare -n)"]
    for case in cases(names):
        _keep(out, case.name, _rows(case, data, out, kills, others, seed, unplug, tell))
    for name in [each for each in LINES if names is None or each in names]:
        _keep(out, name, line_rows(name, out, kills=kills, others=others, seed=seed, tell=tell))
    if names is None or PAGE in names:
        _keep(out, PAGE, [serve_row(out, kills=kills, seed=seed, tell=tell)])
    kept = _kept(out)
    order = [name for name in (*(case.name for case in cases()), *LINES, PAGE) if name in kept]
    rows = [Row(**row) for name in order for row in kept[name]["rows"]]
    return FaultsResult(tuple(rows), seed, tuple(skipped), {name: kept[name]["commit"] for name in order})


def _keep(out: Path, command: str, rows: Sequence[Row]) -> None:
    """Keep a command's rows in the place of those of an earlier run."""
    kept = _kept(out) | {command: {"commit": source_commit(), "rows": [asdict(row) for row in rows]}}
    make_folder(out)
    write_file(out / ROWS, (json.dumps(kept, indent=1) + "\n").encode())


def _kept(out: Path) -> dict[str, dict[str, Any]]:
    path = out / ROWS
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def _rows(case: Case, data: Path, out: Path, kills: int, others: int, seed: int, unplug: bool, tell: Tell) -> list[Row]:
    folder = out / case.name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    trial = _CaseTrial(case, folder, random.Random(f"{seed} {case.name}"))
    trial.prepare(data)
    trial.begin()
    tell(f"{case.name}: {trial.usual.ended.seconds:.0f} s undisturbed, {len(trial.usual.digests)} files")
    rows = [trial.killed(max(1, kills // case.cost)), trial.short_of_memory(others)]
    rows += [trial.disk_full(others)] if trial.usual.bytes else []
    rows += [trial.unplugged()] if unplug and not case.loopback else []
    for row in rows:
        tell(f"  {row.fault}: {row.tried} tried, {row.struck} struck. {' '.join(row.notes)}")
    return rows


class _CaseTrial(Trial):
    """A command that works on files alone."""

    def __init__(self, case: Case, folder: Path, chance: random.Random) -> None:
        super().__init__(case.name, folder, chance)
        self._case, self._inputs = case, folder / "inputs"
        self._earliest = super().earliest()

    def prepare(self, data: Path) -> None:
        """Write its inputs."""
        self._inputs.mkdir(parents=True)
        self._case.prepare(data, self._inputs)

    def words(self, out: Path) -> list[str]:
        """Return the command line."""
        return self._case.words(self._inputs, out)

    def begin(self) -> None:
        """Run it undisturbed, and note when the work that counts began."""
        begun = time.time()
        super().begin()
        if self._case.after:
            written = (self.folder / "undisturbed" / self._case.after).stat().st_mtime
            self._earliest = (written - begun) / self.usual.ended.seconds

    def earliest(self) -> float:
        """Give the share of an undisturbed run before which it is not worth killing."""
        return self._earliest

    def digests(self, out: Path) -> dict[str, str]:
        """Digest the results by their names."""
        return self._case.digests(out) if self._case.digests else super().digests(out)
