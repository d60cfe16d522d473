"""A page that really runs, on a free port of this machine, and a job that is screened already.

It has no test of its own.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from tamperscan.serve.home import Home
from tamperscan.serve.queue import Job, Queue
from tamperscan.serve.web.app import create_app
from tamperscan.serve.web.server import listen
from tamperscan.serve.web.settings import PageSettings


@dataclass
class Page:
    """A running page: its home, its queue, its address, and a browser that says nothing of itself."""

    home: Home
    queue: Queue
    url: str
    client: httpx.Client

    def get(self, path: str, **more: object) -> httpx.Response:
        return self.client.get(path, **more)  # type: ignore[arg-type]


@contextmanager
def running(home: Home, settings: PageSettings) -> Iterator[Page]:
    """Serve in a thread; nothing is screened here."""
    app = create_app(home, settings)
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        yield Page(home, app.state.service.queue, url, client)
    server.should_exit = True
    thread.join(10)
    app.state.service.queue.database.close()
    listening.close()


def add_done(queue: Queue, results: Path, *, key: str = "sample", title: str = "sample.dcm") -> Job:
    """Put a job into the queue that is screened already; no worker of a running server may take it."""
    facts = {"title": title, "modality": "CT", "study_uid": "1.2.3", "sender": "CT1"}
    job = queue.add(key, origin="node", model="none", source="nowhere", state="running", **facts)
    shutil.copytree(results, queue.home.result_folder(job.id))
    queue.finish(job.id, verdict="suspicious", score=37.3, p_value=0.037)
    return queue.job(job.id)


BROWSER_FLAGS = [
    *("--no-sandbox", "--disable-gpu-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--use-gl=angle", "--use-angle=swiftshader"),
    *("--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"),
]
"""Of a chromium in a container without a graphics card."""


def find_browser() -> str:
    """Where Debian's or another chromium is; empty where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""
