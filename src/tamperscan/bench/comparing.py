"""The comparison from the folders to its result: every contender on the same tampered scans."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tamperscan.bench.authentic_crops import cache_crops
from tamperscan.bench.cases import Case
from tamperscan.bench.collecting import Collected, collect
from tamperscan.bench.comparison import Comparison
from tamperscan.bench.contenders.registry import contenders, unavailable
from tamperscan.bench.cuts import Cuts, cut_cases, slices_through
from tamperscan.bench.document import Provenance
from tamperscan.bench.estimate import Estimate, Progress, duration, estimate, seconds_in_all
from tamperscan.bench.gather import (
    Authentic,
    Gathered,
    count_scans,
    gather,
    modalities_of,
    read_parts,
)
from tamperscan.bench.jobs import SLICES_FOLDER, Job, Make, Outcome, registered
from tamperscan.bench.measuring import tasks_of
from tamperscan.bench.plan import OURS, Plan, Step
from tamperscan.bench.prepare import ForgedSet
from tamperscan.bench.processes import run_jobs
from tamperscan.bench.records import compare_evidence
from tamperscan.bench.subjects import TRAIN_PART
from tamperscan.errors import BenchError

CROPS_FOLDER = "crops"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Lineup:
    """Which contenders take part, and how they are made.

    Attributes
    ----------
    choose
        Called with the plan and a modality; gives the names of those that can run here, and by name why others can't.
    make
        Makes the contender of a job.
    """

    choose: Callable[[Plan, str], tuple[Sequence[str], Mapping[str, str]]]
    make: Make


def _registered(plan: Plan, modality: str) -> tuple[Sequence[str], Mapping[str, str]]:
    names, official, backbone = plan.preset.contenders, plan.official, plan.backbone
    missing = unavailable(modality, names=names, official=official, backbone=backbone)
    able = contenders(modality, names=names, official=official, backbone=backbone)
    return [each.name for each in able], {each.name: each.reason for each in missing}


REGISTERED = Lineup(_registered, registered)


@dataclass(frozen=True)
class Compared:
    """What came of a comparison.

    Attributes
    ----------
    comparison
        All figures.
    collected
        What they were computed from.
    cuts
        What was looked at of every case, by name.
    """

    comparison: Comparison
    collected: Collected
    cuts: Mapping[str, Cuts]


class Comparing:
    """A comparison in its stages; every stage takes up what an earlier run left.

    Parameters
    ----------
    plan
        What to measure.
    step
        Called with the name of each stage; gives what is told its progress.
    tell
        Called with a line for people: what will be done, how long it may take, what was done.
    lineup
        The contenders.

    Raises
    ------
    BenchError
        If there are no authentic scans.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        step: Step = lambda name: lambda done, total: None,
        tell: Tell = lambda line: None,
        lineup: Lineup = REGISTERED,
    ) -> None:
        self._plan, self._step, self._tell, self._lineup = plan, step, tell, lineup
        self._modalities = modalities_of(plan)

    def run(self, origin: Provenance) -> Compared:
        """Do everything.

        Parameters
        ----------
        origin
            Command and commit.

        Raises
        ------
        BenchError, ScanError, TrainingError, ForgeError, OutputError
            If there is nothing to measure, or something can't be read or written.
        """
        begun = time.monotonic()
        teams = {modality: self._lineup.choose(self._plan, modality) for modality in self._modalities}
        authentic = self._read()
        untouched = self._cut(authentic.test.cases)
        forged = ForgedSet(self._plan, authentic.test.cases, {name: one.facts for name, one in untouched.items()})
        gathered, cuts = self._look(authentic, forged)
        crops = {modality: self._cache(modality) for modality in self._modalities}
        jobs = {
            modality: self._jobs(modality, teams[modality][0], crops[modality], gathered, cuts) for modality in crops
        }
        estimates = self._announce(jobs, forged)
        if forged.missing:
            forged.make(forged.missing, self._step("Forging"))
        gathered, cuts = self._look(authentic, forged)
        if not any(case.tampered for case in gathered.cases):
            raise BenchError("There is nothing tampered to measure. Give other --methods, --ctgan or --forged.")
        outcomes: list[Outcome] = []
        for modality, (names, _) in teams.items():
            work = self._jobs(modality, names, crops[modality], gathered, cuts)
            outcomes += self._measure(modality, work, estimates[modality])
        collected = collect(gathered, cuts, outcomes, self._plan.out, OURS, self._step("Scoring"))
        missing = {name: why for _, reasons in teams.values() for name, why in reasons.items()}
        comparison = compare_evidence(
            self._plan,
            gathered,
            collected,
            missing=missing,
            origin=origin,
            begun=begun,
            step=self._step,
        )
        return Compared(comparison, collected, cuts)

    def _read(self) -> Authentic:
        total = sum(count_scans(self._plan, modality) for modality in self._modalities)
        report, read = self._step("Reading authentic scans"), itertools.count(1)
        return read_parts(self._plan, self._modalities, lambda name: report(next(read), total))

    def _look(self, authentic: Authentic, forged: ForgedSet) -> tuple[Gathered, dict[str, Cuts]]:
        gathered = gather(self._plan, self._modalities, authentic, forged.result())
        return gathered, self._cut([*gathered.cases, *gathered.calibration])

    def _cut(self, cases: Sequence[Case]) -> dict[str, Cuts]:
        folder, report = self._plan.out / SLICES_FOLDER, self._step("Cutting slices")
        return cut_cases(cases, folder, most_slices=self._plan.preset.slices, report=report)

    def _cache(self, modality: str) -> Path:
        total = count_scans(self._plan, modality, (TRAIN_PART,))
        report, read = self._step("Caching crops to learn from"), itertools.count(1)
        return cache_crops(
            self._plan.scans(modality),
            self._plan.out / CROPS_FOLDER,
            modality,
            split=self._plan.splits[modality],
            on_scan=lambda name: report(next(read), total),
        )

    def _jobs(
        self, modality: str, names: Sequence[str], crops: Path, gathered: Gathered, cuts: Mapping[str, Cuts]
    ) -> list[Job]:
        plan = self._plan
        cases = [case for case in (*gathered.cases, *gathered.calibration) if case.modality == modality]
        tasks = tuple(tasks_of(cuts[case.name] for case in cases))
        return [
            Job(name, modality, plan.official, plan.backbone, plan.out, crops, plan.budget, tasks, plan.threads)
            for name in names
        ]

    def _announce(self, jobs: Mapping[str, list[Job]], forged: ForgedSet) -> dict[str, list[Estimate]]:
        """Say what will be done and how long it may take, before it begins."""
        missing = forged.missing
        self._tell(
            f"To do: {len(forged.orders)} forgeries, {len(missing)} of them not there yet; "
            f"{sum(map(len, jobs.values()))} contenders. Each is tried for a moment to see how long it will take."
        )
        forging = forged.seconds_left(self._step("Trying methods"))
        estimates = {}
        for modality, work in jobs.items():
            more = sum(slices_through(order.planar) for order in missing if order.case.modality == modality)
            estimates[modality] = self._try(work, more)
        seconds = forging + sum(seconds_in_all(each, self._plan.workers) for each in estimates.values())
        self._tell(f"It will take about {duration(seconds)}; {duration(forging)} of it is for forging.")
        return estimates

    def _try(self, jobs: Sequence[Job], more_slices: int) -> list[Estimate]:
        report, estimates = self._step("Trying contenders"), []
        for done, job in enumerate(jobs, start=1):
            estimates.append(estimate(job, self._lineup.make, more_slices=more_slices))
            self._tell(f"  {estimates[-1].words()}")
            report(done, len(jobs))
        return estimates

    def _measure(self, modality: str, jobs: Sequence[Job], estimates: Sequence[Estimate]) -> list[Outcome]:
        progress = Progress(estimates, self._step(f"Contenders on {modality} (seconds of work)"))

        def done(outcome: Outcome) -> None:
            progress.finish(outcome.name)
            self._tell(f"  {outcome.words()}")

        return run_jobs(jobs, workers=self._plan.workers, report=progress.update, done=done, make=self._lineup.make)
