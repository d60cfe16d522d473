"""``python -m fuzz run`` and ``python -m fuzz tell``."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from fuzz import seeds
from fuzz.counters import FOLDER
from fuzz.targets import NAMES, SLOW
from fuzz.tell import still_there, write

OTHERS = {"web-api": ("fuzz.web",), "command": ("fuzz.command",)}
"""Targets that atheris has no part in."""


def run(targets: list[str], seconds: int, data: Path) -> int:
    """Fuzz targets one after the other, each for the given time; 1 if inputs show a defect, 0 if none does."""
    seeds.plant(data)
    chosen = targets or [*NAMES, *OTHERS]
    for target in reversed(chosen):
        until = time.monotonic() + seconds * (3 if target in SLOW else 1)
        while (left := int(until - time.monotonic())) > 0:
            with (FOLDER / f"{target}.log").open("w") as log:
                engine = OTHERS.get(target, ("fuzz.engine", target))
                command = [sys.executable, "-m", *engine, str(left)]
                done = subprocess.run(command, check=False, stdout=log, stderr=subprocess.STDOUT)
            if done.returncode == 0:
                break
            print(f"{target}: the process ended with {done.returncode}; see {FOLDER / target}.log", flush=True)
    found = [target for target in chosen if still_there(target)]
    for target in found:
        print(f"{target}: inputs under {FOLDER / 'defects' / target} show a defect", flush=True)
    return 1 if found else 0


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Fuzz what reads files.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run", help="fuzz targets, each for a time")
    one.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join((*NAMES, *OTHERS))}; all where none is given"
    )
    one.add_argument("--seconds", type=int, default=10, help="for each target")
    one.add_argument("--data", type=Path, default=Path("../shared/data"), help="where the odd files lie")
    commands.add_parser("tell", help="write what was tried to docs/robustness.md")
    chosen = parser.parse_args()
    if chosen.command == "tell":
        write()
        return 0
    return run(chosen.targets, chosen.seconds, chosen.data)


if __name__ == "__main__":
    sys.exit(main())
