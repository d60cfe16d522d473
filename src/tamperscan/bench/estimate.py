"""How long a comparison will take, from a short trial of each contender; and how far it is."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.authentic_crops import AuthenticCrops
from tamperscan.bench.contenders.contender import Budget, Contender
from tamperscan.bench.jobs import SLICES_FOLDER, TRAINED_FOLDER, Job, Make, limit_threads, measurements, registered
from tamperscan.bench.measuring import Task, measure_slice
from tamperscan.bench.stored import load_slice
from tamperscan.bench.training_cache import key_of, read_facts

_TRIAL_SECONDS = 1.0


@dataclass(frozen=True)
class Estimate:
    """What a job will take.

    Attributes
    ----------
    name
        Of the contender.
    learning
        CPU seconds of learning that are left.
    slices
        How many are left.
    a_slice
        Seconds for one; NaN where the trial failed.
    """

    name: str
    learning: float
    slices: int
    a_slice: float

    @property
    def seconds(self) -> float:
        """In all."""
        return self.learning + (self.slices * self.a_slice if self.slices and math.isfinite(self.a_slice) else 0.0)

    def words(self) -> str:
        """Tell it in one line."""
        if math.isnan(self.a_slice):
            return f"{self.name}: could not be tried"
        learning = f"{duration(self.learning)} to learn, " if self.learning else ""
        return f"{self.name}: {learning}{self.slices} slices of {self.a_slice:.2g} s, {duration(self.seconds)}"


def duration(seconds: float) -> str:
    """Tell a time, such as ``3 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def estimate(job: Job, make: Make = registered, *, more_slices: int = 0) -> Estimate:
    """Estimate a job: by what it took before, or by a second of learning and one slice.

    Parameters
    ----------
    job
        What is to be done.
    make
        Makes the contender.
    more_slices
        How many there will be beyond those of the job.
    """
    limit_threads(job.threads)
    try:
        return _estimate(job, make(job), more_slices)
    except Exception:  # the run itself will tell what is wrong with it
        return Estimate(job.name, 0.0, 0, math.nan)


def seconds_in_all(estimates: Sequence[Estimate], workers: int) -> float:
    """Estimate how long jobs take side by side."""
    each = [one.seconds for one in estimates]
    return max(sum(each) / workers, max(each, default=0.0))


class Progress:
    """Tells how far jobs are, in seconds of their estimates.

    Parameters
    ----------
    estimates
        Of the jobs.
    report
        Called with (seconds done, seconds in all).
    """

    def __init__(self, estimates: Sequence[Estimate], report: Callable[[int, int], None]) -> None:
        self._estimates = {one.name: one for one in estimates}
        self._total = sum(one.seconds for one in estimates)
        self._done: dict[str, float] = {}
        self._report = report

    def update(self, name: str, learning: float, slices: int) -> None:
        """Say that a job has learned for so many seconds and measured so many slices."""
        told = self._estimates[name]
        seconds = slices * told.a_slice if math.isfinite(told.a_slice) else 0.0
        self._done[name] = min(min(learning, told.learning) + seconds, told.seconds)
        self._tell()

    def finish(self, name: str) -> None:
        """Say that a job is done."""
        self._done[name] = self._estimates[name].seconds
        self._tell()

    def _tell(self) -> None:
        self._report(round(sum(self._done.values())), max(1, round(self._total)))


def _estimate(job: Job, contender: Contender, more_slices: int) -> Estimate:
    crops = AuthenticCrops.read(job.crops, job.modality)
    key = key_of(contender, crops.data, job.budget)
    place = job.out / TRAINED_FOLDER / key
    measured = measurements(job.out, key)
    missing = measured.missing(job.tasks)
    left, a_slice, learning = len(missing) + more_slices, measured.seconds(), 0.0
    if read_facts(place) is None:
        learns, a_slice = _try(contender, crops, job)
        learning = job.budget.seconds if learns else 0.0
    elif math.isnan(a_slice):
        contender.load(place)
        a_slice = _seconds_of(contender, job)
    return Estimate(job.name, learning, left, a_slice)


def _try(contender: Contender, crops: AuthenticCrops, job: Job) -> tuple[bool, float]:
    """Return whether a contender learns anything, and what a slice takes."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        facts = contender.learn(crops, Budget(_TRIAL_SECONDS, job.budget.seed), place, lambda spent, total: None)
        contender.load(place)
        return bool(facts), _seconds_of(contender, job)


def _seconds_of(contender: Contender, job: Job) -> float:
    task = next((task for task in job.tasks if task.scored), None)
    if task is None:
        return math.nan
    stored = load_slice(job.out / SLICES_FOLDER, task.key)
    return float(measure_slice(contender, stored, Task(task.key, True, task.places[:1]))["seconds"])
