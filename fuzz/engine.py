"""One target under atheris, in a process of its own: ``python -m fuzz.engine TARGET SECONDS``.

A defect does not end the run: it is kept under runs/fuzz/defects with its traceback, once for each place in the code.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
import warnings
from types import FrameType

import atheris

from fuzz.counters import FOLDER, Counting
from fuzz.defects import keep

MEMORY = 4 * 2**30
"""Bytes of address space for a target."""

HANG = 10
"""Seconds after which an input counts as a hang."""

LARGEST = 2**14
"""Bytes of an input: small ones are tried faster, and hold every kind of header."""

INSTRUMENTED = ["tamperscan", "pydicom", "nibabel", "zipfile", "yaml"]


class Hang(Exception):  # noqa: N818
    """An input took longer than `HANG` seconds."""


def main(target: str, seconds: int) -> None:
    """Fuzz one target."""
    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz.held import PLACE
        from fuzz.targets import TARGETS, structured

        run = TARGETS[target] if target in TARGETS else structured()[target]
        _warm(run)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, _hang)
    warnings.simplefilter("ignore")
    counting = Counting(target)
    corpus = FOLDER / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + seconds

    def one(content: bytes) -> None:
        began = time.monotonic()
        tried: object = True
        signal.setitimer(signal.ITIMER_PROF, HANG)
        try:
            tried = run(content)
        except BaseException as error:
            keep(target, counting.counter, content, error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            if tried is not None or target in TARGETS:  # hypothesis gives None for bytes that make no example
                counting.add(time.monotonic() - began)
        if time.monotonic() > until:
            counting.write()
            with contextlib.suppress(OSError):
                import shutil

                shutil.rmtree(PLACE)
            os._exit(0)

    # libFuzzer's own watch is for what the timer can't break off: a loop in compiled code.
    options = [
        f"-max_len={LARGEST}",
        f"-timeout={HANG + 5}",
        "-rss_limit_mb=4096",
        "-verbosity=0",
        "-print_final_stats=0",
    ]
    artifacts = FOLDER / "defects" / target
    artifacts.mkdir(parents=True, exist_ok=True)
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={artifacts}/", str(corpus)], one)
    atheris.Fuzz()


def _warm(run: object) -> None:
    """Import now what a target imports later, so that it is instrumented."""
    with contextlib.suppress(Exception):
        run(b"")  # type: ignore[operator]


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang(f"no end after {HANG} s")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
