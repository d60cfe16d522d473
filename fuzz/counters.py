"""What was tried so far: one JSON file a target, added to by every run."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

FOLDER = Path("runs/fuzz")
WRITE_EVERY = 5.0
"""Seconds between two writes: a run that is killed loses no more than these."""


@dataclass
class Counter:
    """What one target has been through.

    Attributes
    ----------
    inputs, seconds
        How many inputs, and the time that they took.
    slowest
        Seconds that the slowest input took.
    peak_mb
        Most memory that the process ever took, in MB.
    defects
        How many inputs showed each defect, by its place in the code; written down again by each run.
    """

    inputs: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    peak_mb: int = 0
    defects: dict[str, int] = field(default_factory=dict)


class Counting:
    """A target's counter on the disk.

    Parameters
    ----------
    target
        Its name.
    """

    def __init__(self, target: str) -> None:
        self._path = FOLDER / "counts" / f"{target}.json"
        self.counter = load(self._path)
        self._written = time.monotonic()

    def add(self, seconds: float) -> None:
        """Count one input."""
        self.counter.inputs += 1
        self.counter.seconds += seconds
        self.counter.slowest = max(self.counter.slowest, seconds)
        if time.monotonic() - self._written > WRITE_EVERY:
            self.write()

    def write(self) -> None:
        """Write to the disk, whole or not at all."""
        self.counter.peak_mb = max(self.counter.peak_mb, _peak_mb())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self.counter), indent=1) + "\n")
        new.replace(self._path)
        self._written = time.monotonic()


def load(path: Path) -> Counter:
    """Read a counter; an empty one where there is none."""
    return Counter(**json.loads(path.read_text())) if path.exists() else Counter()


def _peak_mb() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
