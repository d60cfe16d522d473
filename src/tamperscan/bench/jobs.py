"""One contender's whole work, from learning to the last slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tamperscan.bench.authentic_crops import AuthenticCrops
from tamperscan.bench.contenders.contender import Budget, Contender
from tamperscan.bench.measuring import VERSION, Measurements, Task, is_finished
from tamperscan.bench.training_cache import make_ready

TRAINED_FOLDER = "trained"
MEASURED_FOLDER = "measured"
SLICES_FOLDER = "slices"

# What is done of a job: CPU seconds of learning, and slices measured.
Report = Callable[[str, float, int], None]


@dataclass(frozen=True)
class Job:
    """What one contender has to do.

    Attributes
    ----------
    name, modality
        Of the contender.
    official, backbone
        Files that some contenders need.
    out
        Folder of the run.
    crops
        Folder of the crop cache that it learns from.
    budget
        What it may spend on learning.
    tasks
        Slices and places to measure.
    threads
        CPU threads.
    """

    name: str
    modality: str
    official: Path | None
    backbone: Path | None
    out: Path
    crops: Path
    budget: Budget
    tasks: tuple[Task, ...]
    threads: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes
    ----------
    name, modality
        Of the contender.
    key
        Name and hash that its files go by.
    settings, source, finished
        Its own.
    facts
        What its training said of itself.
    trained
        Whether it was trained in this run, or taken from the cache.
    measured
        Slices measured in this run; the others were there.
    problem
        Why it is left out, empty if it is not.
    """

    name: str
    modality: str
    key: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    finished: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    trained: bool = False
    measured: int = 0
    problem: str = ""

    def words(self) -> str:
        """Tell it in one line."""
        if self.problem:
            return f"{self.name}: left out, {self.problem}"
        learned = "trained anew" if self.trained else "taken as it was trained before"
        learned = learned if self.facts else "nothing to learn"
        return f"{self.name}: {learned}, {self.measured} slices measured anew"


Make = Callable[[Job], Contender]


def registered(job: Job) -> Contender:
    """Make the contender of a job as the registry does."""
    from tamperscan.bench.contenders.registry import contenders

    (contender,) = contenders(job.modality, names=[job.name], official=job.official, backbone=job.backbone)
    return contender


def run_job(job: Job, report: Report, make: Make = registered) -> Outcome:
    """Train a contender and measure everything that is missing.

    One that can't learn, or can't even begin, comes out with its reason.

    Parameters
    ----------
    job
        What to do.
    report
        Called with (name, seconds of learning, slices measured).
    make
        Makes the contender.
    """
    limit_threads(job.threads)
    crops = AuthenticCrops.read(job.crops, job.modality)
    try:
        contender = make(job)
        trained = make_ready(
            contender, crops, job.budget, job.out / TRAINED_FOLDER, lambda spent, _: report(job.name, spent, 0)
        )
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever goes wrong inside a contender costs the contender, not the run
        return Outcome(job.name, job.modality, problem=f"{type(error).__name__}: {error}")
    measured = measurements(job.out, trained.key).measure(
        contender,
        job.tasks,
        job.out / SLICES_FOLDER,
        lambda done, _: report(job.name, job.budget.seconds, done),
    )
    return Outcome(
        name=job.name,
        modality=job.modality,
        key=trained.key,
        settings=contender.settings,
        source=contender.source,
        finished=is_finished(contender),
        facts=trained.facts,
        trained=not trained.reused,
        measured=measured,
    )


def limit_threads(count: int) -> None:
    """Let the networks of this process use so many CPU threads."""
    import torch

    torch.set_num_threads(count)


def measurements(out: Path, key: str) -> Measurements:
    """Open what a trained contender measured."""
    return Measurements(out / MEASURED_FOLDER / f"{key}.v{VERSION}.jsonl")
