"""Faults of the page: ``serve`` is killed again and again while scans are uploaded and screened."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tamperscan.bench.faults_files import damaged_files
from tamperscan.bench.faults_trial import FAULTS, Row, Tell
from tamperscan.bench.node_instances import write_series
from tamperscan.bench.node_process import free_port, start_logged
from tamperscan.errors import BenchError

UPLOADS: Final = 8
LONGEST_LIFE_SECONDS: Final = 10.0
SETTLE_SECONDS: Final = 600.0


def serve_row(out: Path, *, kills: int, seed: int, tell: Tell) -> Row:
    """Kill the page again and again; every upload that it acknowledged must be screened once.

    Parameters
    ----------
    out
        Folder for scans, the home and the log.
    kills
        How often.
    seed
        Chooses the moments.
    tell
        Is told how it goes.

    Raises
    ------
    BenchError
        If it does not come to rest.
    """
    folder = out / "serve"
    shutil.rmtree(folder, ignore_errors=True)
    row, chance = Row("serve", FAULTS[0]), random.Random(f"{seed} serve")
    series = [write_series(folder / f"series-{n}", slices=1, side=128, seed=n) for n in range(UPLOADS)]
    files = [path for one in series for path in one.files.values()]
    page = _Page(folder)
    sender = _Sender(page, files)
    sender.start()
    while row.tried < kills:
        page.start()
        time.sleep(chance.uniform(0.3, LONGEST_LIFE_SECONDS))
        row.struck += page.kill()
        row.tried += 1
    page.start()
    sender.join(SETTLE_SECONDS)
    tell(f"serve: {len(sender.acknowledged)} of {len(files)} uploads acknowledged; waiting for results")
    try:
        _judge(row, page, sender, len(files))
    finally:
        page.kill()
    if b"Traceback" in page.log.read_bytes():
        row.tracebacks += 1
        row.notes.append("its log shows a traceback")
    tell(f"  {row.fault}: {row.tried} tried, {row.struck} struck. {' '.join(row.notes)}")
    return row


class _Page:
    """``tamperscan serve`` on a home that outlives its processes."""

    def __init__(self, folder: Path) -> None:
        self.home, self.log, self.port = folder / "home", folder / "serve.log", free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = start_logged(["serve", "--home", str(self.home), "--port", str(self.port)], self.log)

    def kill(self) -> bool:
        """Kill it and all that it started; whether it was alive."""
        if self._process is None or self._process.poll() is not None:
            return False
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return True


class _Sender(threading.Thread):
    """Uploads each file until the page has acknowledged it."""

    def __init__(self, page: _Page, files: Sequence[Path]) -> None:
        super().__init__(daemon=True)
        self._page, self._files = page, files
        self.acknowledged: dict[str, Path] = {}

    def run(self) -> None:
        import httpx

        with httpx.Client(base_url=self._page.url, timeout=60, trust_env=False) as client:
            for path in self._files:
                while True:
                    with suppress(httpx.HTTPError):
                        answer = client.post("/api/scans", files={"file": (path.name, path.read_bytes())})
                        if answer.status_code == 201:
                            self.acknowledged[answer.json()["id"]] = path
                            break
                    time.sleep(0.2)


def _judge(row: Row, page: _Page, sender: _Sender, count: int) -> None:
    jobs = _settled(page)
    states = {job["id"]: job["state"] for job in jobs}
    lost = [job for job in sender.acknowledged if states.get(job) != "done"]
    row.lost += len(lost) + count - len(sender.acknowledged)
    row.notes += [f"acknowledged and {states.get(job, 'not there')}" for job in lost]
    damaged = damaged_files(page.home / "results")
    row.damaged += len(damaged)
    row.notes += damaged
    told = Counter(line["job"] for line in _trail(page) if line.get("event") == "screened")
    twice = [job for job, times in told.items() if times > 1]
    row.twice += len(twice)
    row.notes += [f"the audit trail tells the result of one job {told[job]} times" for job in twice]


def _settled(page: _Page) -> list[dict[str, Any]]:
    """Wait until no job waits or runs."""
    import httpx

    until = time.monotonic() + SETTLE_SECONDS
    with httpx.Client(base_url=page.url, timeout=60, trust_env=False) as client:
        while time.monotonic() < until:
            with suppress(httpx.HTTPError):
                jobs: list[dict[str, Any]] = client.get("/api/jobs", params={"limit": 200}).json()["items"]
                if jobs and all(job["state"] in ("done", "failed") for job in jobs):
                    return jobs
            time.sleep(0.5)
    raise BenchError(f"serve does not come to rest. Its log is {page.log}.")


def _trail(page: _Page) -> list[dict[str, Any]]:
    from tamperscan.serve.audit_check import read_lines
    from tamperscan.serve.home import Home

    return list(read_lines(Home(page.home).audit_log))
