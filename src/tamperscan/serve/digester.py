"""Digests of decoded pixels, taken in a process of its own: what was sent may be made to fill the memory.

``python -m tamperscan.serve.digester`` reads paths from its input, a JSON text a line, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
import weakref
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tamperscan.errors import ScanError
from tamperscan.serve.memory import limit_memory
from tamperscan.serve.pixel_digest import decoded_digest

MEMORY_GIB: Final = 4.0
"""Memory that the process may take, and each decoder that it starts."""

PATIENCE: Final = 300.0
"""Seconds that one file may take."""


class Decoded(NamedTuple):
    """The digest of a file's decoded pixels, or why there is none."""

    digest: str | None
    problem: str = ""


class Digester:
    """Asks the process, which is started when first needed and again after its end. For one thread at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def decoded(self, path: Path) -> Decoded:
        """Take the decoded digest of a file, as `tamperscan.serve.pixel_digest.decoded_digest` does."""
        process = self._running()
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            assert process.stdin is not None and process.stdout is not None  # noqa: PT018
            process.stdin.write(json.dumps(str(path)).encode() + b"\n")
            process.stdin.flush()
            return Decoded(*json.loads(process.stdout.readline()))
        except (OSError, ValueError):
            _end(process)
            return Decoded(None, "takes too long or too much memory to decode")
        finally:
            watch.cancel()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, "-P", "-m", "tamperscan.serve.digester"]
            surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere, env=surroundings)
            weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with contextlib.suppress(OSError), process:  # waits, and closes the pipes
        pass


def answer(path: Path) -> Decoded:
    """Take the decoded digest of a file in this process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            digest = decoded_digest(path)
        return Decoded(digest, "" if digest else "holds no pixels")
    except ScanError as error:
        return Decoded(None, error.problem)
    except MemoryError:
        return Decoded(None, "takes too much memory to decode")


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while line := requests.readline():
        answers.write(json.dumps(answer(Path(json.loads(line)))).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal it goes to the node too, which ends this one
    limit_memory(MEMORY_GIB)
    serve(sys.stdin.buffer, sys.stdout.buffer)
