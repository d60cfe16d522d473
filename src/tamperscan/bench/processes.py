"""Many contenders' work side by side, each in a process of its own, or one after the other."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from tamperscan.bench.jobs import Job, Make, Outcome, Report, registered, run_job


def run_jobs(
    jobs: Sequence[Job],
    *,
    workers: int,
    report: Report = lambda name, seconds, slices: None,
    done: Callable[[Outcome], None] = lambda outcome: None,
    make: Make = registered,
) -> list[Outcome]:
    """Run jobs, several at a time in processes of their own, or one after the other in this one.

    A process that dies costs its contender; one whose parent dies ends at its next report.

    Parameters
    ----------
    jobs
        What to do.
    workers
        How many at a time; 1 starts no process.
    report
        As for `run_job`.
    done
        Called with each outcome when it is there.
    make
        Makes the contender of a job; other processes must be able to import it.

    Returns
    -------
    list of Outcome
        In the order of the jobs.
    """
    run = _one_by_one(jobs, report, make) if workers == 1 else _side_by_side(jobs, workers, report, make)
    outcomes: dict[int, Outcome] = {}
    for number, outcome in run:
        outcomes[number] = outcome
        done(outcome)
    return [outcomes[number] for number in sorted(outcomes)]


def _one_by_one(jobs: Sequence[Job], report: Report, make: Make) -> Iterator[tuple[int, Outcome]]:
    for number, job in enumerate(jobs):
        yield number, run_job(job, report, make)


def _side_by_side(jobs: Sequence[Job], workers: int, report: Report, make: Make) -> Iterator[tuple[int, Outcome]]:
    waiting = list(enumerate(jobs))
    running: dict[Connection, tuple[int, BaseProcess]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                number, job = waiting.pop(0)
                ear, process = _start(job, make)
                running[ear] = number, process
            for ear in [each for each in wait(list(running)) if isinstance(each, Connection)]:
                number, process = running[ear]
                told = _hear(ear)
                if isinstance(told, tuple):
                    report(*told)
                    continue
                del running[ear]
                process.join()
                yield number, told or _died(jobs[number], process)
    finally:
        for _, process in running.values():
            process.terminate()


def _start(job: Job, make: Make) -> tuple[Connection, BaseProcess]:
    context = get_context("spawn")
    ear, mouth = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, mouth, make), daemon=True)
    with _threads(job.threads):
        process.start()
    mouth.close()  # ours, so that the end of the process ends the pipe
    return ear, process


def _work(job: Job, mouth: Connection, make: Make) -> None:
    """Be the process of a job. Ctrl-C reaches the parent, which ends this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        mouth.send(run_job(job, lambda *told: mouth.send(told), make))
    except BrokenPipeError:
        os._exit(1)  # the run was killed; nobody is there to be told


def _hear(ear: Connection) -> tuple[str, float, int] | Outcome | None:
    """Receive what a process tells; None where it ended without a word."""
    try:
        told: tuple[str, float, int] | Outcome = ear.recv()
    except (EOFError, OSError):
        return None
    return told


def _died(job: Job, process: BaseProcess) -> Outcome:
    return Outcome(job.name, job.modality, problem=f"its process ended with code {process.exitcode}")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let the processes that are started use so many threads, which their libraries read when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
