"""What a detector made of a case: the numbers that every protocol is computed from."""

from __future__ import annotations

from dataclasses import dataclass

from tamperscan.bench.cases import Target


@dataclass(frozen=True)
class Peak:
    """A local maximum of suspicion.

    Attributes
    ----------
    slice, row, column
        Voxel index.
    score
        Suspicion there.
    """

    slice: int
    row: int
    column: int
    score: float


@dataclass(frozen=True)
class SliceScore:
    """What came of one slice.

    Attributes
    ----------
    index
        Number of the slice in the scan.
    score
        Highest suspicion in its region; NaN where it has none to look at.
    rest
        Highest suspicion in what lies far from every known place of tampering (in an authentic slice: from a place
        drawn at random), for the control; NaN where there is none.
    peaks
        Local maxima at least 16 mm apart, highest first, at most ten.
    within
        In a tampered slice: the share of its untampered places that are less suspicious than the tampered one.
        NaN in an authentic slice.
    tampered
        Whether anything in the slice was tampered with, by the mask or, where there is none, by the known places.
    """

    index: int
    score: float
    rest: float
    peaks: tuple[Peak, ...] = ()
    within: float = float("nan")
    tampered: bool = False


@dataclass(frozen=True)
class TargetScore:
    """A known place, scored as the paper does: the place is told.

    Attributes
    ----------
    target
        Where.
    score
        Suspicion of the patch around it; NaN where the detector can't tell.
    """

    target: Target
    score: float


@dataclass(frozen=True)
class CaseScore:
    """What one detector made of one case. Larger is more suspicious throughout.

    Attributes
    ----------
    case
        Name of the case.
    slices
        The slices that were scored: all tampered ones among them, and others no nearer than 5 mm to each other.
    targets
        The known places.
    pixel_auc
        Area under the receiver operating curve of the suspicion map over the pixels of the tampered slices, tampered
        against not; NaN without a mask.
    seconds
        What it took.
    problem
        Why there is no score, empty if there is one.
    """

    case: str
    slices: tuple[SliceScore, ...] = ()
    targets: tuple[TargetScore, ...] = ()
    pixel_auc: float = float("nan")
    seconds: float = 0.0
    problem: str = ""

    @property
    def score(self) -> float:
        """The scan's score: the highest of its slices', NaN if none has one."""
        known = [each.score for each in self.slices if each.score == each.score]
        return max(known, default=float("nan"))
