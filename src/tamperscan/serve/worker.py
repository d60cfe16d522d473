"""The process that screens: one a model, which it loads once.

``python -m tamperscan.serve.worker --home DIR --model ct`` takes the jobs of its model one by one, and ends by itself
when there is none for a while, when it is told to, or when its parent is gone.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import logging
import os
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tamperscan.errors import OutputError, ScanError, TamperscanError
from tamperscan.files import sync
from tamperscan.serve.home import Home
from tamperscan.serve.logs import log_to_stderr
from tamperscan.serve.memory import limit_memory
from tamperscan.serve.parent import end_with
from tamperscan.serve.queue import Job, Queue

if TYPE_CHECKING:
    from tamperscan import BackInTime, Detector, Scan, Screening
    from tamperscan.diffusion.weights import Weights

IDLE_SECONDS: Final = 120.0
"""A worker without a job ends after so long, which frees its memory."""

POLL_SECONDS: Final = 0.2
PROGRESS_SECONDS: Final = 0.5

_log = logging.getLogger("tamperscan.serve.worker")


class Worker:
    """Screens the jobs of one model.

    Parameters
    ----------
    home
        Whose jobs.
    model
        Name or folder of the detector.
    """

    def __init__(self, home: Home, model: str) -> None:
        self.home, self.model = home, model
        self.queue = Queue(home)
        self.ending = threading.Event()
        self._name = f"{os.getpid()}"
        self._detectors: dict[str | None, Detector | BackInTime] = {}

    def run(self, *, idle_seconds: float = IDLE_SECONDS) -> None:
        """Screen until told to end, or until there was nothing to do for a while."""
        with _only_worker(self.home, self.model):  # so that no job can be in two hands
            self.queue.requeue_orphans(self.model)
            idle_since = time.monotonic()
            while not self.ending.is_set() and time.monotonic() - idle_since < idle_seconds:
                job = self.queue.claim(self.model, self._name)
                if job is None:
                    self.ending.wait(POLL_SECONDS)
                    continue
                self.screen(job)
                idle_since = time.monotonic()

    def screen(self, job: Job) -> None:
        """Screen a job that was claimed, and keep what came of it."""
        try:
            worst = self._write_results(job)
        except ScanError as error:
            self._fail(job, error.problem, final=True)
        except MemoryError:
            self._fail(job, "took more memory than a worker may have. Allow more, then try again")
        except TamperscanError as error:
            self._fail(job, " ".join(str(error).split()))
        except Exception as error:
            _log.exception("screening failed", extra={"facts": {"job": job.id}})
            self._fail(job, f"failed for a reason that was not foreseen ({type(error).__name__})")
        else:
            self._finish(job, worst)

    def _write_results(self, job: Job) -> Screening:
        """Screen every scan of a job's source; the results appear all at once. Gives the most suspicious."""
        target = self.home.result_folder(job.id)
        temporary = self.home.results / f".{job.id}.{uuid.uuid4().hex}.tmp"
        for leftover in self.home.results.glob(f".{job.id}.*"):  # of a worker that died over this job
            shutil.rmtree(leftover, ignore_errors=True)
        try:
            temporary.mkdir(mode=0o700)
            worst = self._screen_into(temporary, job)
            _sync_tree(temporary)
            if target.exists():  # of an earlier try, or an earlier run
                target.rename(temporary.with_suffix(".old"))
            temporary.rename(target)
            sync(self.home.results)
        except OSError as error:
            raise OutputError(f"{target}: can't be written ({error.strerror or error}). Check the disk.") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(temporary.with_suffix(".old"), ignore_errors=True)
        return worst

    def _screen_into(self, folder: Path, job: Job) -> Screening:
        from tamperscan.scan import iter_scans

        worst: Screening | None = None
        first: Path | None = None
        for number, scan in enumerate(iter_scans(job.source), start=1):
            place = folder / f"scan-{number}"
            place.mkdir(mode=0o700)
            screening = self._screen_scan(scan, job)
            write_results(screening, place, self._detector(job.head).weights)
            first = first or place
            worst = screening if worst is None or _rank(screening) > _rank(worst) else worst
            del scan, screening  # or they would stay in memory while the next scan is read
        assert worst is not None and first is not None  # noqa: PT018 - iter_scans gives one or raises
        if len(list(folder.iterdir())) == 1:  # one scan needs no folder of its own
            for path in first.iterdir():
                path.rename(folder / path.name)
            first.rmdir()
        return worst

    def _screen_scan(self, scan: Scan, job: Job) -> Screening:
        detector = self._detector(job.head)
        return detector.screen(scan, progress=self._progress(job), alarm_rate=job.alarm_rate)

    def _progress(self, job: Job) -> Callable[[int, int], None]:
        told = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                self.queue.report_progress(job.id, done / max(1, total))

        return progress

    def _detector(self, head: str | None) -> Detector | BackInTime:
        if head not in self._detectors:
            import tamperscan

            self._detectors[head] = tamperscan.load_detector(self.model, head=head)
        return self._detectors[head]

    def _finish(self, job: Job, screening: Screening) -> None:
        score = None if screening.score != screening.score else float(screening.score)
        self.queue.finish(
            job.id,
            verdict=screening.verdict,
            score=score,
            p_value=screening.p_value,
            weights_sha256=screening.weights_sha256,
        )
        _log.info("screened", extra={"facts": {"job": job.id, "verdict": screening.verdict}})

    def _fail(self, job: Job, error: str, *, final: bool = False) -> None:
        after = self.queue.fail(job.id, error, final=final)
        facts = {"job": job.id, "state": after.state, "attempts": after.attempts, "problem": error}
        _log.warning("not screened", extra={"facts": facts})


def write_results(screening: Screening, folder: Path, weights: Weights) -> None:
    """Write everything that a result folder holds: the report, DICOM objects where the scan is DICOM, and maps.

    Parameters
    ----------
    screening
        What a detector said of a scan.
    folder
        Where to; it exists.
    weights
        The detector's, for the map of the noise residual.
    """
    from tamperscan.report import write_report
    from tamperscan.report.dicom import from_dicom

    write_report(screening, folder, dicom=from_dicom(screening.scan), nifti=True, weights=weights)


def _rank(screening: Screening) -> tuple[int, float, float]:
    """Order screenings by how much they ask for a look."""
    verdict = {"abstained": 0, "clear": 1, "suspicious": 2}[screening.verdict]
    p_value = 1.0 if screening.p_value is None else screening.p_value
    score = float("-inf") if screening.score != screening.score else float(screening.score)
    return verdict, -p_value, score


def _sync_tree(folder: Path) -> None:
    """Put a folder and all in it on the disk, so that what is called done outlives a power cut."""
    sync(*folder.rglob("*"), folder)


class _only_worker:  # noqa: N801 - reads as a function
    """Holds a lock of a home's model: waits until the worker before has let go of it."""

    def __init__(self, home: Home, model: str) -> None:
        name = hashlib.sha256(model.encode()).hexdigest()[:16]
        self._path = home.root / f"worker-{name}.lock"

    def __enter__(self) -> None:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def main() -> None:
    """Run as a program."""
    parser = argparse.ArgumentParser(prog="python -m tamperscan.serve.worker", description="Screen queued jobs.")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--memory-gib", type=float, default=0.0)
    parser.add_argument("--idle-seconds", type=float, default=IDLE_SECONDS)
    parser.add_argument("--parent", type=int, default=0)
    chosen = parser.parse_args()
    log_to_stderr()
    os.nice(5)  # receiving comes first
    if chosen.memory_gib:
        limit_memory(chosen.memory_gib)
    if chosen.parent:
        end_with(chosen.parent)
    worker = Worker(Home(chosen.home), chosen.model)
    signal.signal(signal.SIGTERM, lambda *_: worker.ending.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to the parent too, which tells this one
    worker.run(idle_seconds=chosen.idle_seconds)


if __name__ == "__main__":
    main()
