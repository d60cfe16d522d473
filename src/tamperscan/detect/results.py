"""What a detector says of a scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tamperscan.scan.volume import Scan

Verdict = Literal["clear", "suspicious", "abstained"]


@dataclass(frozen=True)
class Finding:
    """A place in the scan that differs from what authentic scans look like.

    Attributes
    ----------
    centre
        Voxel index (slice, row, column) of the highest suspicion.
    size_mm
        Extent of the suspicious region along (slice, row, column), in mm.
    score
        Suspicion at the centre; larger is more suspicious, comparable between scans.
    p_value
        Chance that an authentic scan of as many slices has a place this suspicious anywhere.
    slice_range
        First and last slice of the region, both included.
    sign
        Which way it differs, e.g. ``"too smooth"``, ``"too noisy"`` or ``"unusual texture"``.
    evidence
        What was measured there, one sentence.
    """

    centre: tuple[int, int, int]
    size_mm: tuple[float, float, float]
    score: float
    p_value: float | None
    slice_range: tuple[int, int]
    sign: str
    evidence: str = ""


@dataclass(frozen=True)
class SliceResult:
    """One slice's result.

    Attributes
    ----------
    index
        Slice index in the scan.
    score
        Highest suspicion in the slice, or NaN where nothing could be measured (no lung).
    p_value
        Chance of such a score on an authentic slice, or None where nothing could be measured.
    peak
        (row, column) of the highest suspicion, or None where nothing could be measured.
    """

    index: int
    score: float
    p_value: float | None
    peak: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Screening:
    """The result of screening one scan.

    Attributes
    ----------
    scan
        The scan that was screened.
    verdict
        ``"clear"``, ``"suspicious"`` or ``"abstained"``.
    reasons
        Why the verdict is what it is, one sentence each; always filled where the detector abstained.
    score
        Largest evidence in the scan, corrected for the number of slices; NaN where nothing was measured. Where the
        detector abstained after measuring, the score is there to look at and not to judge by.
    p_value
        Chance of such a score on an authentic scan, None where the detector abstained.
    alarm_rate
        The false-alarm rate at which the verdict becomes "suspicious" (p_value at or under it).
    findings
        Most suspicious first, at most ten.
    slices
        One result a slice, in slice order.
    suspicion
        float32 ``[slice, row, column]`` on the scan's grid, 0 where nothing was measured.
    regions
        bool ``[slice, row, column]``: where the detector looked.
    detector_name, weights_sha256
        Which detector it was, and the hash of its weights.
    settings
        What else the result depends on (noise levels, window sizes, calibration).
    seconds
        Wall time of the screening.
    """

    scan: Scan
    verdict: Verdict
    reasons: tuple[str, ...]
    score: float
    p_value: float | None
    alarm_rate: float
    findings: tuple[Finding, ...]
    slices: tuple[SliceResult, ...]
    suspicion: NDArray[np.float32]
    regions: NDArray[np.bool_]
    detector_name: str
    weights_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
