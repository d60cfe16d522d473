"""How a calibration's patients are divided over scanners, kernels and slice thicknesses, and how each group fares.

Scanner and kernel are what headers say, thickness the distance between slices. The header only names groups here: scans
are judged among patients whose pixels say that they were acquired alike (`tamperscan.detect.likeness`), or all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.calibration import Calibration
from tamperscan.detect.checkpoints import StoredScan
from tamperscan.detect.periods import interval

ALARM_RATE: Final = 0.05
NOT_TOLD: Final = "not told"
# Upper limits of the distance between slices, in mm.
_THICKNESS: Final = ((1.5, "up to 1.5 mm"), (2.5, "1.5 to 2.5 mm"), (4.0, "2.5 to 4 mm"))


@dataclass(frozen=True)
class Group:
    """Patients of a calibration that have something in common.

    Attributes
    ----------
    kind
        ``"scanner"``, ``"kernel"`` or ``"thickness"``.
    name
        Of the group.
    patients
        How many.
    own
        Of these, how many would be compared with patients acquired alike; the others with all patients.
    least_p
        The smallest p-value that any of them can get so.
    alarms
        Patients whose score, counted among the other patients, has a p-value of at most `ALARM_RATE`.
    low, high
        95 % interval of their share (Clopper and Pearson).
    """

    kind: str
    name: str
    patients: int
    own: int
    least_p: float
    alarms: int
    low: float
    high: float

    @property
    def unlike(self) -> bool:
        """Whether alarms are clearly more or less frequent than stated."""
        return not self.low <= ALARM_RATE <= self.high

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def groups_of(patients: Mapping[str, Sequence[StoredScan]], calibration: Calibration) -> list[Group]:
    """Divide a calibration's patients, each by the scan that stands for it.

    Parameters
    ----------
    patients
        The scans of each patient.
    calibration
        Made of them, or of some of them.

    Returns
    -------
    list of Group
        By kind, the largest first.
    """
    # The calibration holds the very acquisitions of the scans that stand for their patients.
    scans = {id(scan.acquisition): scan for own in patients.values() for scan in own}
    standing = [scans[id(each)] for each in calibration.acquisitions]
    p_values = _left_out(calibration.scan_scores)
    likened = [calibration.for_scan(each, ALARM_RATE) for each in calibration.acquisitions]
    made = []
    for kind, name_of in _KINDS.items():
        names = np.array([name_of(scan) for scan in standing])
        for name in sorted(set(names.tolist()), key=lambda each: (-int((names == each).sum()), each)):
            chosen = np.flatnonzero(names == name)
            alarms = int((p_values[chosen] <= ALARM_RATE).sum())
            own = [likened[index] for index in chosen]
            counted = sum(each.likened for each in own), min(each.smallest_p for each in own)
            made.append(Group(kind, name, len(chosen), *counted, alarms, *interval(alarms, len(chosen))))
    return made


def _left_out(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each patient's p-value among the others; scores are ascending."""
    reached = len(scores) - np.searchsorted(scores, scores, side="left") - 1
    p_values: NDArray[np.float64] = (1.0 + reached) / len(scores)
    return p_values


def _scanner(scan: StoredScan) -> str:
    words = (scan.header.get("Manufacturer", ""), scan.header.get("ManufacturerModelName", ""))
    return " ".join(filter(None, words)) or NOT_TOLD


def _kernel(scan: StoredScan) -> str:
    return scan.header.get("ConvolutionKernel") or NOT_TOLD


def _thickness(scan: StoredScan) -> str:
    assert scan.acquisition is not None  # scans that can be used have one
    distance = scan.acquisition.slice_mm
    return next((name for limit, name in _THICKNESS if distance <= limit), "over 4 mm")


_KINDS: Final[Mapping[str, Callable[[StoredScan], str]]] = {
    "scanner": _scanner,
    "kernel": _kernel,
    "thickness": _thickness,
}
