"""Running a command that is killed at a chosen moment, or has too little memory, room or no network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Final

from tamperscan.bench.archive_runs import below

LONGEST_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 0.003


@dataclass(frozen=True)
class Moment:
    """When a command is killed.

    Attributes
    ----------
    seconds
        So long after its start.
    changes
        Or as soon as so many changes of the watched folder were seen; 0 for the time alone.
    """

    seconds: float
    changes: int = 0


@dataclass(frozen=True)
class Limits:
    """What a command has to do with.

    Attributes
    ----------
    memory
        Bytes of address space; 0 for no limit.
    file_size
        Bytes of the largest file; 0 for no limit.
    network
        Whether there is any.
    """

    memory: int = 0
    file_size: int = 0
    network: bool = True


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    code
        Exit code; the negative number of the signal that ended it.
    killed
        Whether it was killed on purpose.
    out, err
        What it printed.
    seconds
        How long it ran.
    changes
        Changes of the watched folder that were seen.
    peak
        Peak of its address space in bytes; 0 where it did not say.
    """

    code: int
    killed: bool
    out: str
    err: str
    seconds: float
    changes: int
    peak: int = 0


def run_command(
    words: Sequence[str],
    watched: Path,
    *,
    kill: Moment | None = None,
    limits: Limits | None = None,
    longest: float = LONGEST_SECONDS,
) -> Ended:
    """Run a command of tamperscan to its end, or to the moment that it is killed.

    Parameters
    ----------
    words
        The command line, without its first word.
    watched
        Folder whose changes count.
    kill
        When to kill it, with all that it started; None to let it end.
    limits
        What it has to do with; None for everything.
    longest
        Seconds after which it counts as hanging, and is killed.
    """
    limits = limits or Limits()
    with TemporaryDirectory() as folder, TemporaryFile() as out, TemporaryFile() as err:
        peak = Path(folder) / "peak"
        begun = time.monotonic()
        process = _start(words, limits, peak, out, err)
        changes, killed = _wait(process, watched, begun, kill or Moment(longest), longest)
        seconds = time.monotonic() - begun
        told = peak.read_text() if peak.is_file() else ""
        return Ended(process.returncode, killed, _text(out), _text(err), seconds, changes, int(told or 0))


def can_unplug() -> bool:
    """Whether a command can be started without any network here."""
    unshare = shutil.which("unshare")
    return bool(unshare) and subprocess.run([str(unshare), "-n", "true"], capture_output=True).returncode == 0


def _start(words: Sequence[str], limits: Limits, peak: Path, out: IO[bytes], err: IO[bytes]) -> subprocess.Popen[bytes]:
    options = ["--peak", str(peak), "--memory", str(limits.memory), "--file-size", str(limits.file_size)]
    before = [] if limits.network else ["unshare", "-n"]
    return subprocess.Popen(
        [*before, sys.executable, "-m", "tamperscan.bench.faults_child", *options, "--", *words],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _wait(
    process: subprocess.Popen[bytes], watched: Path, begun: float, kill: Moment, longest: float
) -> tuple[int, bool]:
    """Wait for the end or the moment; gives the changes that were seen, and whether it was killed on purpose."""
    changes, seen = 0, _state(watched)
    while process.poll() is None:
        now = _state(watched)
        changes, seen = changes + (now != seen), now
        after = time.monotonic() - begun
        due = after >= kill.seconds or (kill.changes and changes >= kill.changes)
        if due or after >= longest:
            _kill(process)
            return changes, after < longest
        time.sleep(_POLL_SECONDS)
    return changes, False


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with all that it started, in whatever session that is."""
    started = below(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for pid in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _state(folder: Path) -> int:
    """Tell one state of a folder from another, by names and sizes."""
    found = []
    for place, _, names in os.walk(folder):  # which takes no offence where a folder goes while it is looked at
        found.append((place, 0))
        for name in names:
            with contextlib.suppress(OSError):
                found.append((f"{place}/{name}", Path(place, name).stat().st_size))
    return hash(tuple(sorted(found)))


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode("utf-8", "replace")
