"""Measures ``tamperscan archive``: how it gains by workers, what memory it takes, and what kills do to its results."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tamperscan
from tamperscan.bench.archive_runs import ArchiveRun, Peak, seconds_of, table_of, write_archive
from tamperscan.data import sample_path
from tamperscan.errors import BenchError

TIMES: Final = 10
"""How much larger the larger archive is whose memory is measured."""

REAL_SERIES: Final = 6
"""Real images among the series of the archive whose runs are killed."""

MOST_FAILED: Final = 20
"""When more runs than this end by themselves with an error, there is more wrong than a busy machine."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class WorkerSpeed:
    """How fast so many workers screened.

    Attributes
    ----------
    workers
        How many.
    slices, series
        How many were screened each time.
    seconds
        Of each round, from the moment that all workers were ready.
    """

    workers: int
    slices: int
    series: int
    seconds: tuple[float, ...]

    @property
    def rate(self) -> float:
        """Slices a second, of the quickest round: others can only take time away."""
        return self.slices / min(self.seconds)


@dataclass(frozen=True)
class ArchiveMemory:
    """What a run over so many series takes."""

    series: int
    slices: int
    peak: Peak


@dataclass(frozen=True)
class ArchiveKills:
    """What kills did.

    Attributes
    ----------
    series
        How many the archive has.
    kills, of_everything
        How many runs were killed, and how many of these with all that they had started.
    finished
        How often the archive was screened to its end between kills, its last time included.
    identical
        How often the results were then those of the undisturbed run, row by row.
    failed
        Runs that ended by themselves with an error, and were run again.
    undisturbed_seconds, seconds
        Time of the undisturbed run, and of everything.
    """

    series: int
    kills: int
    of_everything: int
    finished: int
    identical: int
    failed: int
    undisturbed_seconds: float
    seconds: float


@dataclass(frozen=True)
class ArchiveResult:
    """What was measured."""

    speed: tuple[WorkerSpeed, ...]
    memory: tuple[ArchiveMemory, ...]
    kills: ArchiveKills | None


def measure_archive(
    data: Path, out: Path, *, repeats: int, series: int, kills: int, seed: int, tell: Tell
) -> ArchiveResult:
    """Measure runs over archives.

    Parameters
    ----------
    data
        Folder of real scans; those in its ``ct`` are screened for speed.
    out
        Folder for archives and results; it is replaced.
    repeats
        Rounds of speed, in which one and two workers take turns; 0 for none.
    series
        Series of the smaller archive whose memory is measured, and of that whose runs are killed; 0 for no memory.
    kills
        How many runs are killed.
    seed
        Of the moments of the kills.
    tell
        Is told how far it is.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    speed = _speed(data / "ct", out, repeats, tell) if repeats else ()
    memory = tuple(_memory(out, count, tell) for count in (series, TIMES * series)) if series else ()
    return ArchiveResult(speed, memory, _kills(data, out, series or 24, kills, seed, tell) if kills else None)


def _speed(archive: Path, out: Path, repeats: int, tell: Tell) -> tuple[WorkerSpeed, ...]:
    """Screen with one worker on one core, and with two on two: reading and Ray itself need their share as well."""
    if not archive.is_dir():
        raise BenchError(f"{archive}: there are no real scans. Say where they are with --data.")
    if not hasattr(os, "sched_setaffinity") or len(cores := sorted(os.sched_getaffinity(0))) < 2:
        raise BenchError("One worker and two are compared on one core and two; this system can't. Leave --repeats 0.")
    seconds: dict[int, list[float]] = {1: [], 2: []}
    counts = (0, 0)
    for number in range(repeats):
        for workers, found in seconds.items():
            results = out / f"speed-{number}-{workers}"
            run = ArchiveRun(archive, results, workers, set(cores[:workers])).result()["run"]
            counts = run["slices"], run["series"]
            found.append(run["seconds"])
            tell(f"{workers} workers: {counts[0]} slices in {found[-1]:.1f} s")
            shutil.rmtree(results)
    return tuple(WorkerSpeed(workers, *counts, tuple(found)) for workers, found in seconds.items())


def _memory(out: Path, series: int, tell: Tell) -> ArchiveMemory:
    archive = out / f"archive-{series}"
    write_archive(archive, tamperscan.read_scan(sample_path()), series)
    result, peak = ArchiveRun(archive, out / f"memory-{series}", 2).watch()
    tell(f"{series} series: {peak.everything:.0f} MB at most")
    return ArchiveMemory(series, result["run"]["slices"], peak)


def _kills(data: Path, out: Path, series: int, kills: int, seed: int, tell: Tell) -> ArchiveKills:
    archive, chance = out / "archive-kills", random.Random(seed)
    write_archive(archive, tamperscan.read_scan(sample_path()), series)
    _link_real(data / "ct" / "singles", archive / "real")
    undisturbed, _ = seconds_of(ArchiveRun(archive, out / "undisturbed", 2).result)
    expected = table_of(out / "undisturbed")
    tell(f"undisturbed: {len(expected)} series in {undisturbed:.0f} s")
    seconds, counts = seconds_of(
        lambda: _kill_again_and_again(archive, out, expected, undisturbed, kills, chance, tell)
    )
    return ArchiveKills(
        series=len(expected),
        kills=kills,
        of_everything=kills // 2,
        finished=counts[0],
        identical=counts[1],
        failed=counts[2],
        undisturbed_seconds=undisturbed,
        seconds=seconds,
    )


def _link_real(folder: Path, to: Path) -> None:
    if folder.is_dir():
        to.mkdir()
        for path in sorted(folder.glob("*.dcm"))[:REAL_SERIES]:
            (to / path.name).symlink_to(path.resolve())


def _kill_again_and_again(
    archive: Path, out: Path, expected: dict[str, str], longest: float, kills: int, chance: random.Random, tell: Tell
) -> tuple[int, int, int]:
    """Kill runs at random moments, every other one with all it started; count what finishes, is the same, and fails."""
    killed = finished = identical = failed = 0
    results = out / "killed-0"
    while True:
        run = ArchiveRun(archive, results, 2)
        if killed < kills and not run.wait(chance.uniform(0.5, longest)):
            run.kill(everything=bool(killed % 2))
            killed += 1
            tell(f"killed {killed} times, {finished} times finished")
            continue
        try:
            run.result()
        except BenchError:  # as where a busy machine does not get Ray started in time
            failed += 1
            if failed > MOST_FAILED:
                raise
            continue
        finished += 1
        identical += table_of(results) == expected
        if killed == kills:
            return finished, identical, failed
        results = out / f"killed-{finished}"
