"""What a contender makes of stored slices: its energy at their nodes, and in patches around places."""

from __future__ import annotations

import base64
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.contenders.contender import Contender
from tamperscan.bench.cuts import Cuts, PlaceCut
from tamperscan.bench.grids import node_means, windowed_means
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.places import Mask, disc_mean
from tamperscan.bench.stored import Stored, load_slice
from tamperscan.detect.crops import cut_square
from tamperscan.errors import BenchError

VERSION = 1
"""Raised where a slice is measured in another way, so that older measurements are not taken for new ones."""
# Sides of the patches that the paper gives its detectors (Grabovski et al., arXiv 2407.15169, section 4).
PATCH_PX = {"CT": 96, "MR": 128}
# What a contender sees around the region: wider than the reach of any but those that look at the slice as a whole.
_MARGIN_PX = 32

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Task:
    """A stored slice and what is asked of it.

    Attributes
    ----------
    key
        Of the slice.
    scored
        Whether the slice itself is measured.
    places
        (row, column) of patches to measure.
    """

    key: str
    scored: bool
    places: tuple[tuple[int, int], ...]


def tasks_of(cases: Iterable[Cuts]) -> list[Task]:
    """List what has to be measured for some cases: every slice once, however many cases share it."""
    scored: dict[str, bool] = {}
    places: dict[str, dict[tuple[int, int], None]] = {}
    for cuts in cases:
        for one in cuts.slices:
            scored[one.key] = True
        for place in cuts.places:
            scored.setdefault(place.key, False)
            places.setdefault(place.key, {})[place.row, place.column] = None
    return [Task(key, whole, tuple(places.get(key, ()))) for key, whole in scored.items()]


def is_finished(contender: Contender) -> bool:
    """Whether a contender's map is suspicion already, learned from authentic scans and averaged over windows."""
    return bool(getattr(contender, "finished", False))


class Measurements:
    """What one contender made of the slices of a run, kept in a ledger.

    Parameters
    ----------
    path
        File of the ledger.
    """

    def __init__(self, path: Path) -> None:
        self._ledger = Ledger(path)

    def missing(self, tasks: Iterable[Task]) -> list[Task]:
        """List the tasks that are not done; those that failed are tried again."""
        return [task for task in tasks if not self._done(task)]

    def measure(self, contender: Contender, tasks: Iterable[Task], folder: Path, report: Report) -> int:
        """Measure what is missing.

        A slice that the contender fails on is remembered with its reason; the others go on.

        Parameters
        ----------
        contender
            Ready to be used.
        tasks
            What to measure.
        folder
            Of stored slices.
        report
            Called with (slices done, slices in all).

        Returns
        -------
        int
            How many slices there were to measure.
        """
        missing = self.missing(tasks)
        for done, task in enumerate(missing, start=1):
            self._ledger.add(task.key, self._measured(contender, task, folder))
            report(done, len(missing))
        return len(missing)

    def problem(self, key: str) -> str:
        """Return why a slice could not be measured, empty if it could."""
        return str(self._ledger[key].get("problem", "")) if key in self._ledger else "it was not measured"

    def energies(self, key: str) -> NDArray[np.float32]:
        """Return float32 ``[node]``: the energy at a slice's nodes."""
        return _unpacked(self._ledger[key]["nodes"])

    def patch(self, place: PlaceCut) -> float:
        """Return the mean energy of the patch around a place."""
        return float(self._ledger[place.key]["patches"][_name((place.row, place.column))])

    def seconds(self) -> float:
        """Return the mean time that a slice took, NaN before the first."""
        took = [entry["seconds"] for entry in self._ledger.values() if "seconds" in entry]
        return float(np.mean(took)) if took else float("nan")

    def took(self, key: str) -> float:
        """Return the seconds that a slice took, none if it was not measured."""
        return float(self._ledger[key].get("seconds", 0.0)) if key in self._ledger else 0.0

    def _done(self, task: Task) -> bool:
        if task.key not in self._ledger or self.problem(task.key):
            return False
        entry = self._ledger[task.key]
        places = {_name(place) for place in task.places}
        return (not task.scored or "nodes" in entry) and places <= entry["patches"].keys()

    def _measured(self, contender: Contender, task: Task, folder: Path) -> dict[str, Any]:
        before = self._ledger.get(task.key, {})
        try:
            stored = load_slice(folder, task.key)
            entry = measure_slice(contender, stored, task)
        except Exception as error:  # whatever goes wrong inside a contender costs this slice, not the run
            return {**before, "problem": f"{type(error).__name__}: {error}"}
        return {**before, **entry, "problem": "", "patches": {**before.get("patches", {}), **entry["patches"]}}


def measure_slice(contender: Contender, stored: Stored, task: Task) -> dict[str, Any]:
    """Measure what is asked of a slice.

    Returns
    -------
    dict
        ``patches`` (mean energy by place), ``nodes`` (packed energies at the nodes, if the slice is scored) and
        ``seconds``.

    Raises
    ------
    Exception
        Whatever the contender raises.
    """
    begun = time.perf_counter()
    entry = _measure(contender, stored, task)
    return {**entry, "seconds": time.perf_counter() - begun}


def _measure(contender: Contender, stored: Stored, task: Task) -> dict[str, Any]:
    if is_finished(contender):
        return _measure_finished(contender, stored, task)
    side = PATCH_PX[stored.modality]
    patches = {
        _name(place): float(_energy(contender, cut_square(stored.image, *place, side), stored).mean(dtype=np.float64))
        for place in task.places
    }
    if not task.scored:
        return {"patches": patches}
    energy = np.zeros(stored.image.shape, np.float32)
    box = _box(stored.region)
    if box is not None:
        energy[box] = _energy(contender, np.ascontiguousarray(stored.image[box]), stored)
    return {"patches": patches, "nodes": _packed(windowed_means(energy, stored.region, stored.grid))}


def _measure_finished(contender: Contender, stored: Stored, task: Task) -> dict[str, Any]:
    """Take a map of suspicion as it is; a place counts as such a detector's own users count it, by a disc of 16 mm."""
    suspicion = _energy(contender, stored.image, stored)
    patches = {_name(place): disc_mean(suspicion, stored.region, place, stored.spacing_mm) for place in task.places}
    return {"patches": patches, "nodes": _packed(node_means(suspicion, stored.region, stored.grid))}


def _energy(contender: Contender, image: NDArray[np.float32], stored: Stored) -> NDArray[np.float32]:
    energy = np.asarray(contender.energy(image, stored.spacing_mm), np.float32)
    if energy.shape != image.shape or not np.isfinite(energy).all():
        raise BenchError(
            f"{contender.name}: gave a map of {energy.shape} with values that are no numbers, or of the "
            f"wrong size, for an image of {image.shape}. Correct the contender."
        )
    return energy


def _box(region: Mask) -> tuple[slice, slice] | None:
    """Return the rows and columns that a region spans, with a margin; None if it is empty."""
    spans = [np.flatnonzero(region.any(axis=axis)) for axis in (1, 0)]
    if any(len(span) == 0 for span in spans):
        return None
    rows, columns = (slice(max(0, int(span[0]) - _MARGIN_PX), int(span[-1]) + 1 + _MARGIN_PX) for span in spans)
    return rows, columns


def _name(place: tuple[int, int]) -> str:
    return f"{place[0]},{place[1]}"


def _packed(values: NDArray[np.float32]) -> str:
    """Write numbers as text, all their digits kept."""
    return base64.b64encode(zlib.compress(values.astype("<f4").tobytes())).decode()


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<f4").astype(np.float32)
