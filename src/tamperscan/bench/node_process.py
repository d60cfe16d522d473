"""A node as a process of its own, to load it, kill it and start it again; and an archive that its results go to."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tamperscan.errors import BenchError
from tamperscan.serve.home import Home

START_SECONDS: Final = 60.0


def start_logged(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Start a command of this package with one thread, in a session of its own; what it says is added to a file."""
    with log.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "tamperscan", *words],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )


def free_port() -> int:
    """Give a port of the loopback address that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NodeProcess:
    """``tamperscan node`` on a home, which outlives any number of its processes.

    Parameters
    ----------
    folder
        For the home, the rules and the log.
    rules
        What the YAML file says; ports are filled in.
    """

    def __init__(self, folder: Path, rules: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.home = Home(folder / "home")
        self.port, self.metrics_port = free_port(), free_port()
        settings = {"port": self.port, "metrics_port": self.metrics_port, "keep_free_gib": 0, **rules.get("node", {})}
        self.rules = folder / "rules.yaml"
        self.rules.write_text(json.dumps({**rules, "node": settings}, indent=1))  # JSON is YAML
        self.log = folder / "node.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process ID; 0 where it does not run."""
        return 0 if self._process is None else self._process.pid

    def start(self, *, wait: bool = True) -> NodeProcess:
        """Start it; by default wait until it listens.

        Raises
        ------
        BenchError
            If it ends at once, or does not listen after a minute.
        """
        self._process = start_logged(["node", "--rules", str(self.rules), "--home", str(self.home.root)], self.log)
        if wait:
            self.wait_until_listening()
        return self

    def wait_until_listening(self) -> None:
        """Wait until health says that it is well."""
        from urllib.error import URLError
        from urllib.request import urlopen

        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self._process is None or self._process.poll() is not None:
                raise BenchError(f"The node ended. Its log is {self.log}.")
            try:
                with urlopen(f"http://127.0.0.1:{self.metrics_port}/health", timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.05)
        raise BenchError(f"The node does not listen. Its log is {self.log}.")

    def kill(self, *, group: bool) -> None:
        """Kill it with SIGKILL: the process alone, or all that it started with it."""
        if self._process is None or self._process.poll() is not None:
            return
        if group:
            os.killpg(self._process.pid, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def stop(self, patience_seconds: float = 60.0) -> int:
        """End it in good order; gives its exit code."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(patience_seconds)
        except subprocess.TimeoutExpired:
            self.kill(group=True)
            raise BenchError(f"The node does not end. Its log is {self.log}.") from None
        finally:
            self._process = None

    def __enter__(self) -> NodeProcess:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Archive:
    """An archive in this process: it takes what is sent by C-STORE, and remembers what it was and how often it came.

    Parameters
    ----------
    ae_title
        Its AE title.

    Attributes
    ----------
    port
        Where it listens.
    received
        Digests of the data sets by SOP instance UID, one for each time that it came.
    headers
        The data sets without pixels, by SOP instance UID.
    """

    def __init__(self, ae_title: str = "ARCHIVE") -> None:
        self.ae_title, self.port = ae_title, free_port()
        self.received: dict[str, list[str]] = {}
        self.headers: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._server: Any = None

    def start(self) -> Archive:
        """Begin to listen."""
        from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

        entity = AE(ae_title=self.ae_title)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._take)]
        self._server = entity.start_server(("127.0.0.1", self.port), block=False, evt_handlers=handlers)
        return self

    def stop(self) -> None:
        """End."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def of_modality(self, modality: str) -> list[Any]:
        """List the data sets of a modality."""
        return [one for one in list(self.headers.values()) if one.get("Modality") == modality]

    def __enter__(self) -> Archive:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take(self, event: Any) -> int:
        dataset = event.dataset
        digest = hashlib.sha256(event.request.DataSet.getvalue()).hexdigest()
        with self._lock:
            self.received.setdefault(str(dataset.SOPInstanceUID), []).append(digest)
            self.headers[str(dataset.SOPInstanceUID)] = dataset
        return 0
