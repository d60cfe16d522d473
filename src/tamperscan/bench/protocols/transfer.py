"""What carries over: to generators and to scanners that the contenders never saw.

No contender learns from anything tampered, so every generator is one that none has seen: the figures by generator are
those of the screening protocol. Scanners differ: some scans come from scanners that the contenders learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tamperscan.bench.cases import Case
from tamperscan.bench.protocols.columns import Comparand, Reference, ScreeningColumn, measure_column
from tamperscan.bench.protocols.evidence import Evidence
from tamperscan.bench.protocols.resampling import Draws
from tamperscan.bench.protocols.screening import SEVERAL, ScreeningResult
from tamperscan.bench.protocols.thresholds import authentic_side, limits_of

SCANNERS: Final = ("seen", "unseen")


@dataclass(frozen=True)
class TransferResult:
    """What came of the protocol.

    Attributes
    ----------
    generators
        The screening columns of single generators; every contender saw none of these.
    scanners
        All generators together, on seen and on unseen scanners; tampered and authentic scans alike.
    seen_scanners
        What the contenders learned from.
    unknown_scanner
        Tampered cases whose scanner is not known, which are in neither.
    """

    generators: tuple[ScreeningColumn, ...]
    scanners: tuple[ScreeningColumn, ...]
    seen_scanners: tuple[str, ...]
    unknown_scanner: int


def measure_transfer(
    evidence: Evidence,
    screening: ScreeningResult,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> TransferResult:
    """Compute the protocol.

    Parameters
    ----------
    evidence
        What was measured.
    screening
        What came of the screening protocol; its thresholds are used.
    report
        Called with (columns done, columns in all).
    """
    draws = Draws(case.group for case in evidence.cases)
    kinds = sorted({(case.modality, case.task) for case in evidence.cases if case.task is not None})
    wanted = [(scanners, modality, task) for modality, task in kinds for scanners in SCANNERS]
    columns = []
    for done, (scanners, modality, task) in enumerate(wanted, start=1):
        alike = [case for case in evidence.cases if _scanners(evidence, case) == scanners and case.modality == modality]
        tampered = [case for case in alike if case.task == task]
        if tampered:
            reference = Reference(authentic_side(evidence, alike, modality), draws)
            compared = Comparand(evidence, tampered, reference)
            limits = limits_of(screening.thresholds, modality)
            columns.append(measure_column(evidence, draws, compared, limits, generator=SEVERAL, scanners=scanners))
        report(done, len(wanted))
    return TransferResult(
        generators=tuple(column for column in screening.columns if column.generator != SEVERAL),
        scanners=tuple(columns),
        seen_scanners=tuple(sorted(evidence.seen_scanners)),
        unknown_scanner=sum(case.tampered and not case.scanner for case in evidence.cases),
    )


def _scanners(evidence: Evidence, case: Case) -> str:
    """Tell which kind of scanner a case comes from, empty if its scanner is not known."""
    if not case.scanner:
        return ""
    return "seen" if case.scanner in evidence.seen_scanners else "unseen"
