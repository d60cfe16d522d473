"""Commands that are killed, run out of room, memory or network at random: whether what they leave can be trusted."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.faults_cases import LINES, PAGE, Case, cases
from tamperscan.bench.faults_lines import line_rows
from tamperscan.bench.faults_process import can_unplug
from tamperscan.bench.faults_serve import serve_row
from tamperscan.bench.faults_trial import Row, Tell, Trial


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
    """

    rows: tuple[Row, ...]
    seed: int
    skipped: tuple[str, ...]


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
        For inputs and results; what is there of these commands is removed first.
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
    chosen = cases(names)
    rows: list[Row] = []
    for case in chosen:
        rows += _rows(case, data, out, kills, others, seed, unplug, tell)
    for name in [each for each in LINES if names is None or each in names]:
        rows += line_rows(name, out, kills=kills, others=others, seed=seed, tell=tell)
    if names is None or PAGE in names:
        rows.append(serve_row(out, kills=kills, seed=seed, tell=tell))
    return FaultsResult(tuple(rows), seed, tuple(skipped))


def _rows(case: Case, data: Path, out: Path, kills: int, others: int, seed: int, unplug: bool, tell: Tell) -> list[Row]:
    folder = out / case.name.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    trial = _CaseTrial(case, folder, random.Random(f"{seed} {case.name}"))
    trial.prepare(data)
    trial.begin()
    tell(f"{case.name}: {trial.usual.ended.seconds:.0f} s undisturbed, {len(trial.usual.digests)} files")
    rows = [trial.killed(max(1, kills // case.cost)), trial.short_of_memory(others)]
    rows += [trial.disk_full(others)] if trial.usual.bytes else []
    rows += [trial.unplugged()] if unplug else []
    for row in rows:
        tell(f"  {row.fault}: {row.tried} tried, {row.struck} struck. {' '.join(row.notes)}")
    return rows


class _CaseTrial(Trial):
    """A command that works on files alone."""

    def __init__(self, case: Case, folder: Path, chance: random.Random) -> None:
        super().__init__(case.name, folder, chance)
        self._case, self._inputs = case, folder / "inputs"

    def prepare(self, data: Path) -> None:
        """Write its inputs."""
        self._inputs.mkdir(parents=True)
        self._case.prepare(data, self._inputs)

    def words(self, out: Path) -> list[str]:
        """Return the command line."""
        return self._case.words(self._inputs, out)
