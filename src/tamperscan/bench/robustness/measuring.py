"""What a detector says of laundered slices, remembered slice by slice so that an ended run goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.robustness.subjects import Image, TestSlice
from tamperscan.bench.robustness.treatments import Treatment, treat
from tamperscan.detect.detector import Detector
from tamperscan.detect.processing import find_traces
from tamperscan.detect.results import Verdict
from tamperscan.errors import BenchError, ForgeError
from tamperscan.files import make_folder, new_file

VERSION: Final = 2
"""Raised where treatments or the detector's code change, so that older measurements are not taken for new ones."""

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one slice after one treatment.

    Attributes
    ----------
    treatment, kind, group, name
        Which treatment, of which slice; see `TestSlice`.
    score
        None where nothing could be measured, or the treatment could not be applied.
    verdict
        Empty where the treatment could not be applied.
    traces
        Names of the global processing that was recognised.
    problem
        Why the treatment could not be applied; empty if it was.
    """

    treatment: str
    kind: str
    group: str
    name: str
    score: float | None
    verdict: Verdict | str
    traces: tuple[str, ...]
    problem: str = ""


class Measurements:
    """Treats slices and screens them, as far as that was not done before.

    Parameters
    ----------
    detector, key
        What is measured, and what names it.
    out
        Folder of the run.
    """

    def __init__(self, detector: Detector, key: str, out: Path) -> None:
        self._detector, self._key, self._out = detector, key, out
        self._ledger = Ledger(out / "slices.jsonl")

    def missing(self, subjects: Sequence[TestSlice], treatments: Iterable[Treatment]) -> int:
        """Count what is still to be measured."""
        return sum(self._named(one, each) not in self._ledger for each in treatments for one in subjects)

    def measure(
        self, subjects: Sequence[TestSlice], treatment: Treatment, report: Callable[[], None] = lambda: None
    ) -> Iterator[Outcome]:
        """Yield the outcome of every slice after a treatment.

        Raises
        ------
        BenchError
            If a treated slice that was kept can't be read.
        OutputError
            If an outcome can't be written.
        """
        for subject in subjects:
            key = self._named(subject, treatment)
            if key not in self._ledger:
                self._ledger.add(key, asdict(self._outcome(subject, treatment)))
                report()
            plain: dict[str, Any] = self._ledger[key]
            yield Outcome(**{**plain, "traces": tuple(plain["traces"])})

    def _named(self, subject: TestSlice, treatment: Treatment) -> str:
        return hash_of(VERSION, self._key, treatment.name, subject.scan.name, subject.place)

    def _outcome(self, subject: TestSlice, treatment: Treatment) -> Outcome:
        names = (treatment.name, subject.kind, subject.group, subject.scan.name)
        try:
            image = self._treated(subject, treatment)
        except ForgeError as error:
            return Outcome(*names, None, "", (), str(error))
        scan = replace(subject.scan, voxels=image[None], sha256="")
        screening = self._detector.screen(scan)
        traces = tuple(trace.name for trace in find_traces(scan))
        score = float(screening.score) if np.isfinite(screening.score) else None
        return Outcome(*names, score, screening.verdict, traces)

    def _treated(self, subject: TestSlice, treatment: Treatment) -> Image:
        """Treat a slice; where that takes seconds, keep what came out."""
        if not treatment.slow:
            return treat(treatment, subject)
        name = hash_of(treatment.name, self._key if treatment.of_detector else "", subject.scan.name, subject.place)
        path = self._out / "treated" / f"{name}.npz"
        if not path.is_file():
            image = treat(treatment, subject)
            _keep(path, image)
            return image
        try:
            with np.load(path) as held:
                return np.asarray(held["image"], np.float32)
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise BenchError(f"{path}: can't be read ({error}). Take it away to treat the slice anew.") from error


def _keep(path: Path, image: Image) -> None:
    make_folder(path.parent)
    with new_file(path) as stream:
        np.savez_compressed(stream, image=image.astype(np.int16))
