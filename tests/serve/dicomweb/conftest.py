"""A web server on this machine that answers as a test tells it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest


@dataclass
class Request:
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Archive:
    """A server that gives the next answer, or the last one again; it remembers what was asked."""

    url: str
    requests: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    answer_with: Callable[[Request], tuple[int, dict[str, str], bytes]] | None = None

    def will_answer(self, status: int, body: bytes | Any = b"", **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, content))

    def take(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        self.requests.append(request)
        if self.answer_with is not None:
            return self.answer_with(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def archive():
    made = Archive("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 2**16  # head and body in one packet, or each answer waits for an acknowledgement

        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, content = made.take(Request(self.command, self.path, dict(self.headers), body))
            self.send_response(status)
            headers = {"Content-Length": str(len(content)), **headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            if int(headers["Content-Length"]) != len(content):
                self.close_connection = True

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_pauses(monkeypatch):
    """Pauses between attempts, noted rather than waited for."""
    pauses: list[float] = []
    # Not the module that all threads share: some of them sleep as well.
    monkeypatch.setattr("tamperscan.serve.dicomweb.client.time", SimpleNamespace(sleep=pauses.append))
    return pauses
