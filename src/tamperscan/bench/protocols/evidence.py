"""What every protocol is computed from: cases, facts about them, and what each contender made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tamperscan.bench.cases import Case
from tamperscan.bench.scores import CaseScore
from tamperscan.scan.volume import Scan


@dataclass(frozen=True)
class CaseFacts:
    """What must be kept of a case's scan once its voxels are gone.

    Attributes
    ----------
    shape
        Number of (slices, rows, columns).
    spacing_mm
        Distance of voxels along (slice, row, column); None where the file does not tell, so that no distance in the
        scan is known.
    problem
        Why the scan could not be read, empty if it could.
    """

    shape: tuple[int, int, int] = (0, 0, 0)
    spacing_mm: tuple[float, float, float] | None = None
    problem: str = ""

    @property
    def readable(self) -> bool:
        """Whether the scan could be read."""
        return not self.problem

    @property
    def planar(self) -> bool:
        """Whether it is a single slice, so that nothing can be said of it as a whole scan."""
        return self.shape[0] <= 1


def facts_of(case: Case, scan: Scan) -> CaseFacts:
    """Keep what the protocols must know of a scan."""
    told = case.spacing_mm is not None or not any("holds no voxel spacing" in warning for warning in scan.warnings)
    return CaseFacts(scan.shape, scan.spacing_mm if told else None)


@dataclass(frozen=True)
class Evidence:
    """Everything that was measured.

    Attributes
    ----------
    cases
        Test cases, tampered and authentic.
    calibration
        Authentic cases of other patients; thresholds come from them alone.
    facts
        By name of the case.
    scores
        By name of the contender, then by name of the case; for test and calibration cases.
    ours
        Name of the contender that the others are compared with.
    seen_scanners
        Scanners of the scans that the contenders learned from.
    """

    cases: tuple[Case, ...]
    calibration: tuple[Case, ...]
    facts: Mapping[str, CaseFacts]
    scores: Mapping[str, Mapping[str, CaseScore]]
    ours: str
    seen_scanners: frozenset[str] = field(default_factory=frozenset)

    @property
    def contenders(self) -> tuple[str, ...]:
        """Names, in the order in which they were given."""
        return tuple(self.scores)

    def score(self, contender: str, case: Case) -> CaseScore:
        """Return what a contender made of a case; an empty score where it made nothing of it."""
        return self.scores[contender].get(case.name) or CaseScore(case.name, problem="was not scored")

    def facts_of(self, case: Case) -> CaseFacts:
        """Return the facts about a case; such as tell nothing where none were kept."""
        return self.facts.get(case.name) or CaseFacts(problem="was not read")
