"""Slice averaging, which needs neighbours: measured on forged blocks of held-out volumes.

The published CT-GAN slices come alone. Here whole blocks are forged by the packaged networks of the same attack, and a
block is judged as a whole, before and after each slice became the mean of itself and its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.metrics import Estimate, auc_estimate, share_estimate
from tamperscan.bench.robustness.geometry import averaged_slices
from tamperscan.bench.robustness.measuring import VERSION
from tamperscan.bench.subjects import detector_key
from tamperscan.bench.volumes_blocks import find_blocks, read_blocks
from tamperscan.bench.volumes_forging import ForgedBlocks, usable_methods
from tamperscan.detect.detector import Detector
from tamperscan.scan import Scan

_METHODS = ("gan",)

Step = Callable[[str], Callable[[int, int], None]]


@dataclass(frozen=True)
class AveragedResult:
    """What slice averaging does.

    Attributes
    ----------
    blocks, patients, forgeries
        How many.
    auc
        By whether slices were averaged: forged blocks against authentic ones.
    abstained_authentic, abstained_forged, clear_forged, alarms_authentic
        By the same: shares of blocks.
    """

    blocks: int
    patients: int
    forgeries: int
    auc: dict[str, Estimate]
    abstained_authentic: dict[str, Estimate]
    abstained_forged: dict[str, Estimate]
    clear_forged: dict[str, Estimate]
    alarms_authentic: dict[str, Estimate]


WAYS = ("untreated", "averaged")


@dataclass(frozen=True)
class _Judged:
    patient: str
    forged: bool
    score: float
    verdict: str


def run_averaged(
    detector: Detector, data: Path, split: Path, out: Path, blocks: int, step: Step = lambda name: lambda *_: None
) -> AveragedResult | None:
    """Measure a detector on blocks whose slices were averaged; None where no block could be forged.

    Parameters
    ----------
    detector
        What is measured.
    data, split
        Folder with ``ct/`` in it, and JSON of part to globs.
    out
        Folder of the run.
    blocks
        How many blocks at most.
    step
        Called with the name of each part of the work.
    """
    found = find_blocks(data, split, most=blocks)
    methods, _ = usable_methods(_METHODS)
    if not found or not methods:
        return None
    forged = ForgedBlocks(out, found, methods)
    forged.make(step("Forgeries"))
    made = [each for each in forged.made() if each.place is not None]
    ledger, key, report = Ledger(out / "blocks.jsonl"), detector_key(detector), step("Blocks")
    judged: dict[str, list[_Judged]] = {way: [] for way in WAYS}
    for done, (block, scan) in enumerate(read_blocks(found), start=1):
        own = [forged.tampered(each, scan) for each in made if each.order.block == block]
        for way in WAYS:
            for number, one in enumerate([scan, *own]):
                verdict, score = _judge(detector, ledger, key, way, one)
                judged[way].append(_Judged(block.patient, number > 0, score, verdict))
        report(done, len(found))
    return _result(judged, len(found), len(made))


def _judge(detector: Detector, ledger: Ledger, key: str, way: str, scan: Scan) -> tuple[str, float]:
    name = hash_of(VERSION, key, way, scan.name)
    if name not in ledger:
        treated = scan if way == WAYS[0] else replace(scan, voxels=averaged_slices(scan.voxels).round(), sha256="")
        screening = detector.screen(treated)
        ledger.add(name, [screening.verdict, screening.score if math.isfinite(screening.score) else None])
    verdict, score = ledger[name]
    return str(verdict), -math.inf if score is None else float(score)


def _result(judged: dict[str, list[_Judged]], blocks: int, forgeries: int) -> AveragedResult:
    def auc(way: str) -> Estimate:
        forged, authentic = ([one for one in judged[way] if one.forged == kind] for kind in (True, False))
        return auc_estimate(
            [one.score for one in forged],
            [one.score for one in authentic],
            [one.patient for one in forged],
            [one.patient for one in authentic],
        )

    def share(way: str, forged: bool, verdict: str) -> Estimate:
        chosen = [one for one in judged[way] if one.forged == forged]
        return share_estimate([one.verdict == verdict for one in chosen], [one.patient for one in chosen])

    return AveragedResult(
        blocks=blocks,
        patients=len({one.patient for one in judged[WAYS[0]]}),
        forgeries=forgeries,
        auc={way: auc(way) for way in WAYS},
        abstained_authentic={way: share(way, False, "abstained") for way in WAYS},
        abstained_forged={way: share(way, True, "abstained") for way in WAYS},
        clear_forged={way: share(way, True, "clear") for way in WAYS},
        alarms_authentic={way: share(way, False, "suspicious") for way in WAYS},
    )
