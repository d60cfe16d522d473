"""What a detector says of blocks and of the slice through the tampering alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.slices import Screener
from tamperscan.bench.volumes_blocks import Block, cut_slices, read_blocks
from tamperscan.bench.volumes_forging import ForgedBlocks, Made
from tamperscan.detect.results import Screening
from tamperscan.forge.site import Index
from tamperscan.scan import Scan

MEASURED_FILE: Final = "measured.jsonl"

Report = Callable[[int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What came of screening a block, or one of its slices.

    Attributes
    ----------
    score
        Of the scan, NaN where the detector gave none.
    flagged
        Whether the verdict is "suspicious" at an alarm rate of 0.05; None where it is "abstained".
    off_mm
        Distance from the tampering to the most suspicious place, NaN without one of either.
    seconds
        What it took.
    """

    score: float
    flagged: bool | None
    off_mm: float
    seconds: float


@dataclass(frozen=True)
class Measured:
    """A forgery and what it was made of, as blocks and as the one slice through the tampering.

    Attributes
    ----------
    made
        The forgery.
    whole, centre
        What came of the forged block, and of its slice through the tampering alone.
    whole_before, centre_before
        The same of the authentic block.
    """

    made: Made
    whole: Outcome
    centre: Outcome
    whole_before: Outcome
    centre_before: Outcome

    @property
    def block(self) -> Block:
        """The authentic block."""
        return self.made.order.block


def measure_forgeries(
    detector: Screener, key: str, forged: ForgedBlocks, out: Path, report: Report = lambda done, total: None
) -> Iterator[Measured]:
    """Yield what a detector says of every forgery that was made; what is known from an earlier run is not screened.

    Parameters
    ----------
    detector, key
        The detector, and what names it.
    forged
        The forgeries.
    out
        Folder that remembers what was measured.
    report
        Called with (forgeries done, forgeries in all).

    Raises
    ------
    ScanError
        If a series can't be read any more.
    BenchError
        If a stored forgery can't be read.
    """
    screened = _Screened(detector, key, Ledger(out / MEASURED_FILE))
    made = [one for one in forged.made() if one.place is not None]
    by_block = {block: list(same) for block, same in groupby(made, key=lambda one: one.order.block)}
    done = 0
    for block, scan in read_blocks(by_block):
        for one in by_block[block]:
            yield screened.measured(one, forged, scan)
            done += 1
            report(done, len(made))


class _Screened:
    """Screens, unless it is known what comes out."""

    def __init__(self, detector: Screener, key: str, ledger: Ledger) -> None:
        self._detector, self._key, self._ledger = detector, key, ledger

    def measured(self, made: Made, forged: ForgedBlocks, before: Scan) -> Measured:
        assert made.place is not None
        index, *pixel = made.place
        after, order = partial(forged.tampered, made, before), made.order
        return Measured(
            made,
            whole=self._outcome([order.key], after, made.place),
            centre=self._outcome([order.key, index], lambda: _slice(after(), index), (0, pixel[0], pixel[1])),
            whole_before=self._outcome([order.block.key], lambda: before, None),
            centre_before=self._outcome([order.block.key, index], lambda: _slice(before, index), None),
        )

    def _outcome(self, words: Sequence[Any], scan: Callable[[], Scan], place: Index | None) -> Outcome:
        key = hash_of(self._key, *words)
        if key not in self._ledger:
            self._ledger.add(key, _told(self._detector.screen(scan()), place))
        told = self._ledger[key]
        score, off_mm = (math.nan if told[name] is None else float(told[name]) for name in ("score", "off_mm"))
        return Outcome(score, told["flagged"], off_mm, told["seconds"])


def _slice(scan: Scan, index: int) -> Scan:
    return cut_slices(scan, index, 1, f"{scan.name}_{index}")


def _told(screening: Screening, place: Index | None) -> dict[str, Any]:
    off_mm = _off_mm(screening, place) if place is not None else math.nan
    return {
        "score": screening.score if math.isfinite(screening.score) else None,
        "flagged": None if screening.verdict == "abstained" else screening.verdict == "suspicious",
        "off_mm": off_mm if math.isfinite(off_mm) else None,
        "seconds": screening.seconds,
    }


def _off_mm(screening: Screening, place: Index) -> float:
    """Measure from the first finding, or where there is none from the peak of the most suspicious slice."""
    known = [one for one in screening.slices if one.peak is not None and math.isfinite(one.score)]
    if screening.findings:
        found: Index = screening.findings[0].centre
    elif known:
        top = max(known, key=lambda one: one.score)
        assert top.peak is not None
        found = (top.index, *top.peak)
    else:
        return math.nan
    steps = zip(found, place, screening.scan.spacing_mm, strict=True)
    return float(np.sqrt(sum(((here - there) * side) ** 2 for here, there, side in steps)))
