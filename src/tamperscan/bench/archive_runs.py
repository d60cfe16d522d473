"""Runs of ``tamperscan archive`` as processes of their own: timed, watched for memory, and killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tamperscan.bench.memory import write_series
from tamperscan.bench.process_tree import stat_of
from tamperscan.errors import BenchError
from tamperscan.scan import Scan

MEMORY_GIB: Final = 0.5
"""What decoded series may take in these runs."""

_LOOK_EVERY: Final = 0.25
_ANYTHING_BUT_TIME: Final = "results/*/*/part-*.parquet"


@dataclass(frozen=True)
class Peak:
    """The most memory that a run took at a time, in 10^6 bytes (proportional set size: what is shared counts once).

    Attributes
    ----------
    driver
        The process that drives the run.
    workers
        Ray's workers, all together.
    everything
        All processes of the run, Ray's own included.
    """

    driver: float
    workers: float
    everything: float


class ArchiveRun:
    """A run that goes on beside this process.

    Parameters
    ----------
    archive, out
        What is screened, and the folder of results.
    workers
        How many processes screen.
    cores
        Cores that all of its processes are kept to; None for those of this one.
    """

    def __init__(self, archive: Path, out: Path, workers: int, cores: set[int] | None = None) -> None:
        command = [sys.executable, "-m", "tamperscan", "archive", str(archive), "--out", str(out), "--json"]
        command += ["--workers", str(workers), "--memory-gib", str(MEMORY_GIB), "--device", "cpu"]
        self._log = out.with_name(out.name + ".log")
        with self._log.open("wb") as log, _kept_to(cores):
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, start_new_session=True, env=_environment()
            )

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end, for so many seconds at most; tells whether it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def result(self) -> dict[str, Any]:
        """Wait for its end, and give what it printed.

        Raises
        ------
        BenchError
            If it failed.
        """
        told, _ = self._process.communicate()
        if self._process.returncode not in (0, 3) or not told.strip():
            words = " ".join(self._log.read_text(errors="replace").split())[-400:]
            raise BenchError(f"A run over an archive ended with {self._process.returncode} ({words}).")
        result: dict[str, Any] = json.loads(told)
        return result

    def watch(self) -> tuple[dict[str, Any], Peak]:
        """Wait for its end, and look at its memory all the while."""
        most = [0.0, 0.0, 0.0]
        while not self.wait(_LOOK_EVERY):
            most = [max(pair) for pair in zip(most, self._memory(), strict=True)]
        return self.result(), Peak(*most)

    def kill(self, *, everything: bool) -> None:
        """End it by SIGKILL: the command alone, or all that it started as well."""
        pids = [self._process.pid, *(below(self._process.pid) if everything else [])]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.communicate()

    def _memory(self) -> tuple[float, float, float]:
        started = below(self._process.pid)
        driver = _megabytes(started[0]) if started else 0.0
        workers = [pid for pid in started if _name(pid).startswith("ray::") and "Agent" not in _name(pid)]
        everything = sum(_megabytes(pid) for pid in [self._process.pid, *started])
        return driver, sum(map(_megabytes, workers)), everything


def write_archive(folder: Path, scan: Scan, series: int) -> None:
    """Write an archive of short series: one to three slices of a scan, in folders of seven series."""
    for number in range(series):
        write_series(folder / f"patient-{number // 7:04}" / f"series-{number:05}", scan, 1 + number % 3)


def table_of(out: Path) -> dict[str, str]:
    """Give the rows of a folder of results, as digests by key.

    Raises
    ------
    BenchError
        If a series has two rows.
    """
    from pyarrow import parquet

    rows: dict[str, str] = {}
    for path in sorted(out.glob(_ANYTHING_BUT_TIME)):
        for row in parquet.ParquetFile(path).read().to_pylist():
            if row["key"] in rows:
                raise BenchError(f"{path}: has a second row of series {row['key']}.")
            text = repr((path.parents[1].name, path.parent.name, sorted(row.items())))
            rows[row["key"]] = hashlib.sha256(text.encode()).hexdigest()
    return rows


@contextmanager
def _kept_to(cores: set[int] | None) -> Iterator[None]:
    """Keep this thread to some cores for a while: what it starts meanwhile stays on them."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def below(pid: int) -> list[int]:
    """List the processes below one, itself left out; those that it started come first."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents.setdefault(int(stat_of(int(entry.name))[1]), []).append(int(entry.name))
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in parents.get(parent, [])]
        found += level
    return found


def _megabytes(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _name(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
    return ""


def seconds_of(work: Any) -> tuple[float, Any]:
    """Time a call."""
    begun = time.monotonic()
    done = work()
    return time.monotonic() - begun, done
