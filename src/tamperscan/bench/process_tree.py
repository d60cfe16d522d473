"""A process and those that it started: what memory they hold, and what processor time they have taken."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

POSSIBLE = sys.platform == "linux"
"""Whether this system tells it."""

_BETWEEN_S = 0.1


@dataclass(frozen=True)
class Ended:
    """What a command took until it ended.

    Attributes
    ----------
    status
        Exit status.
    seconds
        Wall time.
    processor_seconds
        Of all its processes.
    peak_mb
        Largest memory of all its processes together, in 10^6 bytes: what they share counts once.
    said
        The end of its standard error.
    """

    status: int
    seconds: float
    processor_seconds: float
    peak_mb: float
    said: str


def watch(command: Sequence[str]) -> Ended:
    """Run a command and look at its processes ten times a second."""
    begun, peak = time.monotonic(), 0.0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        status: int | None = None
        while status is None:
            peak = max(peak, sum(memory_mb(each) for each in family(process.pid)))
            time.sleep(_BETWEEN_S)
            ended, code, usage = os.wait4(process.pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if ended else None
        seconds = time.monotonic() - begun
        process.returncode = status
        said = process.stderr.read() if process.stderr else ""
    return Ended(status, seconds, usage.ru_utime + usage.ru_stime, peak, said[-500:])


def family(pid: int) -> list[int]:
    """Return a process and all that it started, as far as they live."""
    found = [pid]
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [one for child in (task / "children").read_text().split() for one in family(int(child))]
    return found


def memory_mb(pid: int) -> float:
    """Return the memory of a process in 10^6 bytes, what it shares with others in parts; 0 if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def processor_seconds() -> float:
    """Return the processor time of this process, its ended and its living children."""
    own = os.times()
    return own.user + own.system + own.children_user + own.children_system + sum(map(_taken, family(os.getpid())[1:]))


def _taken(pid: int) -> float:
    try:
        fields = stat_of(pid)
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def stat_of(pid: int) -> list[str]:
    """Read what Linux says of a process, from its state on: what comes before is its number, and a name with anything.

    Raises
    ------
    OSError
        If there is no such process any more.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
