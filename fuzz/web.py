"""The page's API under schemathesis: ``python -m fuzz.web SECONDS``.

Schemathesis makes requests of what the API says of itself, right ones and wrong ones; they go to the application
without a network between. A quarter of them name a job that there is. A defect is an answer of 500 or more, an answer
that takes ten seconds, or a traceback.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from fuzz.counters import Counting
from fuzz.defects import keep
from fuzz.oracle import Defect

HANG = 10
SLOW = ("/api/scans", "/api/login")
EXAMPLES = 50
"""Requests to one operation before the next has its turn; five where each starts a process, or waits on purpose."""


def main(seconds: int) -> None:
    """Send requests for a time."""
    warnings.simplefilter("ignore")
    counting = Counting("web-api")
    until = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as place, _client(Path(place)) as (client, job):
        schema = schemathesis.openapi.from_dict(client.app.openapi())
        operations = [result.ok() for result in schema.get_all_operations()]
        while time.monotonic() < until:
            random.shuffle(operations)
            for operation in operations:
                _try(operation, client, job, counting, until)
    counting.write()


def _try(operation: Any, client: TestClient, job: str, counting: Counting, until: float) -> None:
    cases = st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode))

    @settings(
        max_examples=5 if operation.path in SLOW and operation.method == "post" else EXAMPLES,
        database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases, st.integers(0, 3))
    def send(case: Any, chance: int) -> None:
        if time.monotonic() > until:
            return
        if chance == 0 and "job_id" in (case.path_parameters or {}):
            case.path_parameters["job_id"] = job
        began = time.monotonic()
        try:
            sent = _check(case, client, began)
        except Exception as error:
            keep("web-api", counting.counter, repr(case).encode(), error)
            sent = True
        if sent:
            counting.add(time.monotonic() - began)

    send()


def _check(case: Any, client: TestClient, began: float) -> bool:
    """Send a request; gives whether there was one to send."""
    try:
        asked = requests.Request(**case.as_transport_kwargs(base_url=str(client.base_url))).prepare()
        request = client.build_request(asked.method, asked.url, headers=dict(asked.headers), content=asked.body)
    except (
        UnicodeError,
        requests.RequestException,
        httpx.InvalidURL,
        ValueError,
        TypeError,
    ):  # no HTTP request can say this
        return False
    answer = client.send(request)
    if answer.status_code >= 500 or b"Traceback" in answer.content:
        raise Defect(f"{case.method} {case.path}: {answer.status_code} {answer.content[:300]!r}")
    if time.monotonic() - began > HANG:
        raise Defect(f"{case.method} {case.path}: took more than {HANG} s")
    return True


@contextlib.contextmanager
def _client(place: Path) -> Any:
    """Give a client of an application that has a home of its own, and a job in it."""
    from tamperscan.serve.home import Home
    from tamperscan.serve.web.app import create_app
    from tamperscan.serve.web.settings import PageSettings

    home = Home(place / "home")
    app = create_app(home, PageSettings())
    queue = app.state.service.queue
    job = queue.add("sample", origin="page", model="ct", source="nowhere", state="running", title="x", modality="CT")
    queue.finish(job.id, verdict="clear", score=1.0, p_value=0.5)
    with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=True) as client:
        yield client, job.id
    queue.database.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
