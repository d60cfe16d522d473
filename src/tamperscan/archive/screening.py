"""Screens what was read; each worker holds one such screener with its networks."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tamperscan.archive.detectors import describe_detectors, load_detectors
from tamperscan.archive.found import FoundSeries
from tamperscan.archive.manifest import Settings
from tamperscan.archive.reading import ReadSeries
from tamperscan.archive.rows import failed_row, result_row
from tamperscan.detect.results import Screening
from tamperscan.errors import TamperscanError
from tamperscan.scan.volume import Scan


@dataclass(frozen=True)
class Outcome:
    """What came of one series.

    Attributes
    ----------
    result, run
        Its rows.
    """

    result: dict[str, Any]
    run: dict[str, Any]


class Screener:
    """Holds the detectors of one worker.

    Parameters
    ----------
    settings
        Of the run.
    device
        ``"cpu"`` or ``"cuda"``.
    threads
        Threads of a network on a processor.
    """

    def __init__(self, settings: Settings, device: str, threads: int) -> None:
        self._settings = settings
        self._detectors = load_detectors(settings, device, threads)

    def describe(self) -> dict[str, Any]:
        """Say which version and which weights this worker has."""
        return describe_detectors(self._detectors)

    def screen(self, found: FoundSeries, read: ReadSeries, attempts: int) -> Outcome:
        """Screen every volume of a series."""
        begun = time.monotonic()
        facts: dict[str, Any] = {"key": found.key, "listing": found.listing, "study_month": read.month or None}
        screenings, problems = [], list(read.problems)
        for packed in read.scans:
            try:
                screenings.append(_without_maps(self._screen(packed.unpack())))
            except TamperscanError as error:
                problems.append(str(error))
            except MemoryError:
                problems.append("is too large for this worker's memory. Use a larger machine.")
            except Exception as error:  # one odd series must not end a run over many
                problems.append(f"can't be screened ({type(error).__name__}). Please report this.")
        facts["volumes_failed"] = read.missing + len(read.scans) - len(screenings)
        result = result_row(screenings, facts) if screenings else failed_row(found.series, _first(problems), facts)
        return Outcome(result, run_row(found, attempts, read.seconds, time.monotonic() - begun))

    def _screen(self, scan: Scan) -> Screening:
        detector = self._detectors.get(scan.modality) or next(iter(self._detectors.values()))
        screening: Screening = detector.screen(scan, alarm_rate=self._settings.alarm_rate)
        return screening


def run_row(found: FoundSeries, attempts: int, read_seconds: float, screen_seconds: float) -> dict[str, Any]:
    """Make the row on how a series' result was got."""
    return {
        "key": found.key,
        "places": [part.place.where for part in found.parts],
        "files": found.files,
        "stored_bytes": found.size,
        "read_seconds": read_seconds,
        "screen_seconds": screen_seconds,
        "attempts": attempts,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "worker": platform.node(),
    }


def lost_outcome(found: FoundSeries, reason: str, attempts: int) -> Outcome:
    """Make the rows of a series whose worker did not come back."""
    facts = {"key": found.key, "listing": found.listing, "study_month": None, "volumes_failed": 0}
    return Outcome(failed_row(found.series, reason, facts), run_row(found, attempts, 0.0, 0.0))


def _without_maps(screening: Screening) -> Screening:
    """Drop what is as large as the scan: a series may have many volumes."""
    nothing = np.empty((0, 0, 0), np.float32)
    shape = screening.scan.shape
    scan = replace(screening.scan, voxels=np.broadcast_to(np.float32(0), shape))
    return replace(screening, scan=scan, suspicion=nothing, regions=nothing.astype(bool))


def _first(problems: list[str]) -> str:
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{problems[0]}{more}" if problems else "holds no scan that can be read."
