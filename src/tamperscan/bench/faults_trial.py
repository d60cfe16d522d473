"""What faults are tried on a command, and what is looked at afterwards."""

from __future__ import annotations

import random
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tamperscan.bench.faults_disk import SmallDisk
from tamperscan.bench.faults_files import damaged_files, digests_of, leftovers_in
from tamperscan.bench.faults_process import LONGEST_SECONDS, Ended, Limits, Moment, run_command
from tamperscan.errors import BenchError

FAULTS: Final = ("killed", "disk full", "too little memory", "no network")
KILLS_IN_A_ROW: Final = 3
"""So often a run is killed again before it may go on to its end."""

Tell = Callable[[str], None]


@dataclass
class Row:
    """What a fault did to a command.

    Attributes
    ----------
    command, fault
        Which on which.
    tried
        How often the fault was caused.
    struck
        How often the command ended of it; the other times it was done before, or had enough.
    lost
        Results that the run which went on did not have, or had otherwise than an undisturbed run.
    damaged
        Files under their own names that could not be read to their end.
    twice
        Results that an undisturbed run does not have: told a second time under another name.
    tracebacks
        Runs that showed a traceback, or called it a fault in tamperscan.
    crashed
        Runs that ended by a signal of the system (an abort inside a library that gets no memory).
    other
        Runs that failed with another exit code than 2 or 3, or without a line that says what is wrong, or hung.
    leftovers
        Temporary files that lay about in the end.
    notes
        What was seen, one line each.
    """

    command: str
    fault: str
    tried: int = 0
    struck: int = 0
    lost: int = 0
    damaged: int = 0
    twice: int = 0
    tracebacks: int = 0
    crashed: int = 0
    other: int = 0
    leftovers: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """What a command does when nothing is in its way."""

    ended: Ended
    digests: dict[str, str]
    bytes: int


class Trial(ABC):
    """A command on which faults are tried.

    Parameters
    ----------
    name
        Of the command.
    folder
        For all that it reads and writes.
    chance
        Chooses moments, sizes and limits.

    Attributes
    ----------
    usual
        What it does undisturbed; after `begin`.
    """

    usual: Undisturbed

    def __init__(self, name: str, folder: Path, chance: random.Random) -> None:
        self.name, self.folder, self.chance = name, folder, chance

    @abstractmethod
    def words(self, out: Path) -> list[str]:
        """Return the command line that writes into a folder."""

    def begin(self) -> None:
        """Run it undisturbed.

        Raises
        ------
        BenchError
            If it fails.
        """
        out = self.fresh("undisturbed")
        ended = self.run(out)
        if ended.code:
            raise BenchError(f"{self.name}: fails without a fault ({ended.err.strip()[-300:]}).")
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
        self.usual = Undisturbed(ended, self.digests(out), size)

    def killed(self, times: int) -> Row:
        """Kill it again and again."""
        row = Row(self.name, FAULTS[0])
        while row.tried < times:
            out = self.fresh("killed")
            for _ in range(min(KILLS_IN_A_ROW, times - row.tried)):
                ended = self.run(out, kill=self._moment(row.tried))
                row.tried += 1
                row.struck += ended.killed
                self.look(row, out, ended)
            self.go_on(row, out)
        return row

    def disk_full(self, times: int) -> Row:
        """Give it a disk that is smaller than what it writes."""
        row = Row(self.name, FAULTS[1])
        if not self.usual.bytes:
            row.notes.append("writes nothing")
            return row
        for _ in range(times):
            with SmallDisk(self.folder / "disk", int(self.usual.bytes * self.chance.uniform(0.02, 0.98))) as disk:
                out = disk.folder / "out"
                out.mkdir()
                ended = self.run(out, limits=Limits(file_size=disk.largest_file))
                row.tried += 1
                row.struck += ended.code != 0
                self.look(row, out, ended)
                disk.grow(4 * self.usual.bytes + 2**20)
                self.go_on(row, out)
        return row

    def short_of_memory(self, times: int) -> Row:
        """Give it less address space than it takes."""
        row = Row(self.name, FAULTS[2])
        for _ in range(times):
            out = self.fresh("memory")
            share = self.chance.uniform(0.2, 1.0)
            ended = self.run(out, limits=Limits(memory=int(share * self.usual.ended.peak)))
            row.tried += 1
            row.struck += ended.code != 0
            self.look(row, out, ended, f"with {share:.0%} of its address space: ")
            self.go_on(row, out)
        return row

    def unplugged(self) -> Row:
        """Run it without any network."""
        row = Row(self.name, FAULTS[3])
        out = self.fresh("unplugged")
        ended = self.run(out, limits=Limits(network=False))
        row.tried, row.struck = 1, int(ended.code != 0)
        self.look(row, out, ended)
        self.compare(row, out)
        return row

    def digests(self, out: Path) -> dict[str, str]:
        """Digest the results by their names."""
        return digests_of(out)

    def earliest(self) -> float:
        """Give the share of an undisturbed run before which it is not worth killing."""
        return 0.05

    def run(self, out: Path, *, kill: Moment | None = None, limits: Limits | None = None) -> Ended:
        """Run it."""
        return run_command(self.words(out), out, kill=kill, limits=limits)

    def fresh(self, name: str) -> Path:
        """Make an empty folder for results."""
        out = self.folder / name
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        return out

    def _moment(self, number: int) -> Moment:
        """Every second time any moment of its life, else as soon as it has written something."""
        usual = self.usual.ended
        if number % 2 or not usual.changes or self.earliest() > Trial.earliest(self):
            return Moment(self.chance.uniform(self.earliest(), 1.0) * usual.seconds)
        return Moment(4 * usual.seconds, self.chance.randint(1, usual.changes))

    def look(self, row: Row, out: Path, ended: Ended, when: str = "") -> None:
        """Look at what a run that was disturbed has left and said."""
        damaged = damaged_files(out)
        row.damaged += len(damaged)
        row.notes += damaged
        problem = misbehaviour(ended)
        if problem is not None:
            setattr(row, problem, getattr(row, problem) + 1)
            row.notes.append(f"{when}{problem}: {_last_words(ended)}")

    def go_on(self, row: Row, out: Path) -> None:
        """Let it go on undisturbed, and compare what comes out."""
        ended = self.run(out)
        if ended.code and self.digests(out) != self.usual.digests:
            row.lost += 1
            row.notes.append(f"does not go on: {_last_words(ended)}")
            return
        self.compare(row, out)

    def compare(self, row: Row, out: Path) -> None:
        """Compare results with those of the undisturbed run."""
        found, usual = self.digests(out), self.usual.digests
        lost = [name for name, digest in usual.items() if found.get(name) != digest]
        twice = [name for name in found if name not in usual]
        row.lost, row.twice = row.lost + len(lost), row.twice + len(twice)
        row.leftovers += leftovers_in(out)
        row.notes += [f"other than undisturbed: {name}" for name in lost] + [f"too many: {name}" for name in twice]


def misbehaviour(ended: Ended) -> str | None:
    """Name the column of what a command that failed should not have done; None where it behaved."""
    if "Traceback (most recent call last)" in ended.err or "This is a fault in tamperscan" in ended.err:
        return "tracebacks"
    if ended.killed or ended.code == 0:
        return None
    if ended.seconds >= LONGEST_SECONDS:  # it hung, and was ended
        return "other"
    if ended.code < 0:
        return "crashed"
    told = any(line.startswith("Error: ") for line in ended.err.splitlines())
    return None if ended.code in (2, 3) and told else "other"


def _last_words(ended: Ended) -> str:
    lines = [line.strip() for line in ended.err.splitlines() if line.strip()]
    words = re.sub(r"(/[^\s:'/]+)+/([^\s:'/]+)", r"\2", lines[-1])[:200] if lines else "no word"  # no machine's paths
    return f"{words} (exit code {ended.code})"
