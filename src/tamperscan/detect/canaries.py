"""Canaries: forgeries that a new detector must still find, or what it learned from was not what it seemed.

A detector that was taught that forgeries are authentic still raises few false alarms, so that nothing about it looks
wrong. That shows only on forgeries: known ones are made of scans that it was calibrated on, and it must score them
higher than the same slices as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.scan.volume import Scan

PATIENTS: Final = 10
"""So many patients give canaries."""
AUTHENTIC_SHARE: Final = 0.9
"""A canary is found if it scores higher than this share of the authentic slices that canaries were made of."""
REQUIRED: Final = 0.25
"""Share of the canaries that must be found; of chance scores a tenth would be."""
LEAST: Final = 6
"""Fewer canaries than this say nothing."""

Score = Callable[[Scan], float]


@dataclass(frozen=True, eq=False)
class CanaryPair:
    """A forged slice and what it was made of.

    Attributes
    ----------
    patient
        Whose it is.
    kind
        How it was forged.
    authentic, forged
        The slice before and after, scans of one slice.
    """

    patient: str
    kind: str
    authentic: Scan
    forged: Scan


@dataclass(frozen=True)
class CanaryResult:
    """What became of the canaries.

    Attributes
    ----------
    canaries, patients
        How many there were, of how many patients.
    found
        How many were found.
    higher
        Share of the canaries that score higher than the slice that they were made of.
    by_kind
        Found and tried by kind.
    """

    canaries: int
    patients: int
    found: int
    higher: float
    by_kind: dict[str, tuple[int, int]]

    @property
    def enough(self) -> bool:
        """Whether there are enough to say anything."""
        return self.canaries >= LEAST

    @property
    def passed(self) -> bool:
        """Whether enough were found."""
        return self.found >= REQUIRED * self.canaries

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for the card."""
        facts: dict[str, Any] = {"tried": self.canaries, "patients": self.patients, "found": self.found}
        facts |= {"required_share": REQUIRED, "passed": self.passed if self.enough else None}
        kinds = {kind: {"found": found, "tried": tried} for kind, (found, tried) in self.by_kind.items()}
        return facts | {"higher_than_before": round(self.higher, 3), "by_kind": kinds}

    def __str__(self) -> str:
        """Say what became of them, and what to do where too few were found."""
        if not self.enough:
            return f"Canaries: {self.canaries} forgeries could be made, too few to say whether it still finds any."
        told = f"Canaries: it finds {self.found} of {self.canaries} forgeries of {self.patients} patients' scans"
        if self.passed:
            return f"{told} (at least {REQUIRED:.0%} are asked for)."
        return (
            f"{told}, fewer than the {REQUIRED:.0%} that are asked for. Don't rely on it: look for forged scans in what"
            " it learned from, or for scans that it is not made for."
        )


def check_canaries(
    score: Score, pairs: Iterable[CanaryPair], on_pair: Callable[[], None] = lambda: None
) -> CanaryResult:
    """Score canaries and what they were made of.

    Parameters
    ----------
    score
        How suspicious a scan of one slice is; NaN where that can't be said.
    pairs
        The canaries.
    on_pair
        Called after each.
    """
    kinds, patients, before, after = [], [], [], []
    for pair in pairs:
        scores = score(pair.authentic), score(pair.forged)
        on_pair()
        if all(np.isfinite(each) for each in scores):
            kinds.append(pair.kind)
            patients.append(pair.patient)
            before.append(scores[0])
            after.append(scores[1])
    return _counted(kinds, patients, np.array(before), np.array(after))


def _counted(
    kinds: Sequence[str], patients: Sequence[str], before: NDArray[np.float64], after: NDArray[np.float64]
) -> CanaryResult:
    if not kinds:
        return CanaryResult(0, 0, 0, 0.0, {})
    found = after > np.quantile(before, AUTHENTIC_SHARE)
    by_kind = {
        kind: (int(found[where].sum()), int(where.sum()))
        for kind in sorted(set(kinds))
        if (where := np.array([each == kind for each in kinds])).any()
    }
    return CanaryResult(len(kinds), len(set(patients)), int(found.sum()), float(np.mean(after > before)), by_kind)
