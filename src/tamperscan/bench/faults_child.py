"""A command with less memory than it wants, started as ``python -m tamperscan.bench.faults_child``.

Trainings save their state so often here that a run of seconds is interrupted between two states.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import resource
import sys
from pathlib import Path

SECONDS_BETWEEN_SAVES = 0.5


def main() -> None:
    """Run the rest of the command line as ``tamperscan`` would."""
    parser = argparse.ArgumentParser(prog="python -m tamperscan.bench.faults_child")
    parser.add_argument("--memory", type=int, default=0, help="Address space in bytes.")
    parser.add_argument("--file-size", type=int, default=0, help="Size of the largest file in bytes.")
    parser.add_argument("--peak", type=Path, default=None, help="File that the peak of the address space goes to.")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    chosen = parser.parse_args()
    words = chosen.words[1:]  # after the two dashes
    for kind, most in ((resource.RLIMIT_AS, chosen.memory), (resource.RLIMIT_FSIZE, chosen.file_size)):
        if most:
            resource.setrlimit(kind, (most, most))
    if chosen.peak is not None:
        atexit.register(_write_peak, chosen.peak)
    if words[0].startswith("train"):
        _save_often()
    sys.argv = ["tamperscan", *words]
    from tamperscan.__main__ import main as command

    command()


def _save_often() -> None:
    with contextlib.suppress(Exception):  # without torch, or memory for it: the command itself says so
        from tamperscan.diffusion import head_training, train

        for module in (train, head_training):
            module._SECONDS_BETWEEN_SAVES = SECONDS_BETWEEN_SAVES  # type: ignore[attr-defined]


def _write_peak(path: Path) -> None:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmPeak:"):
            path.write_text(str(int(line.split()[1]) * 1024))


if __name__ == "__main__":
    main()
