"""Health and metrics of a node over HTTP, on the loopback address only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tamperscan.errors import ServeError
from tamperscan.serve.status import Status


class Metrics:
    """Serves ``/health`` (200 or 503, JSON) and ``/metrics`` (Prometheus).

    Parameters
    ----------
    port
        Port on 127.0.0.1; 0 for a free one.
    status
        Gives the state of the node.
    problems
        Gives what is wrong with it, nothing where it is well.

    Raises
    ------
    ServeError
        If the port is taken.
    """

    def __init__(self, port: int, status: Callable[[], Status], problems: Callable[[], list[str]]) -> None:
        handler = _handler(status, problems)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        except OSError as error:
            raise ServeError(
                f"Port {port} for metrics can't be used ({error.strerror}). Set node.metrics_port to another one."
            ) from error
        self.port = int(self._server.server_address[1])
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()


def metrics_text(status: Status) -> bytes:
    """Write the state of a node as Prometheus metrics."""
    from prometheus_client import CollectorRegistry, generate_latest

    registry = CollectorRegistry()
    registry.register(_Collector(status))
    return generate_latest(registry)


class _Collector:
    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        status = self._status
        for name, words, label, values in (
            ("instances", "Received instances by state", "state", status.instances),
            ("jobs", "Jobs by state", "state", status.jobs),
            ("verdicts", "Screened series by verdict", "verdict", status.verdicts),
            ("commitments", "Requests for storage commitment by state", "state", status.commitments),
        ):
            family = GaugeMetricFamily(f"tamperscan_{name}", words, labels=[label])
            for value, count in values.items():
                family.add_metric([value], count)
            yield family
        family = GaugeMetricFamily("tamperscan_deliveries", "Deliveries", labels=["destination", "state"])
        for (destination, state), count in status.deliveries.items():
            family.add_metric([destination, state], count)
        yield family
        yield GaugeMetricFamily("tamperscan_spool_bytes", "Bytes of kept instances", value=status.spool_bytes)
        yield GaugeMetricFamily("tamperscan_disk_free_bytes", "Free bytes of the disk", value=status.free_bytes)
        yield GaugeMetricFamily(
            "tamperscan_oldest_waiting_seconds", "Age of the job that waits longest", value=status.oldest_seconds
        )


def _handler(status: Callable[[], Status], problems: Callable[[], list[str]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/health":
                wrong = problems()
                body = json.dumps({"status": "failing" if wrong else "ok", "problems": wrong}).encode()
                self._answer(503 if wrong else 200, "application/json", body)
            elif self.path == "/metrics":
                self._answer(200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(status()))
            else:
                self._answer(404, "text/plain", b"There are /health and /metrics.\n")

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Be silent: a scrape every few seconds is no news."""

    return Handler
