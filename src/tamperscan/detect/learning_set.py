"""Which cached scans a training learns from, and how much of each: no copies, nothing left out, no source too large."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.detect.crops import CachedScan
from tamperscan.detect.vetting import (
    MOST_OF_A_PATIENT,
    MOST_OF_A_SCANNER,
    Copy,
    SeenSlices,
    capped_shares,
    largest_share,
    slice_hashes,
)
from tamperscan.errors import TrainingError
from tamperscan.files import write_file

HASHES = ".hashes.json"


@dataclass(frozen=True)
class Vetting:
    """How a training set is vetted.

    Attributes
    ----------
    keep_copies
        Whether scans that repeat others are learned from all the same.
    most_of_a_scanner, most_of_a_patient
        Largest shares of the crops that a scanner model and a patient may give.
    left_out
        Hashes of the pixels of scans that somebody decided against.
    """

    keep_copies: bool = False
    most_of_a_scanner: float = MOST_OF_A_SCANNER
    most_of_a_patient: float = MOST_OF_A_PATIENT
    left_out: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class LearningSet:
    """What may be learned from.

    Attributes
    ----------
    scans
        (patient, scan) of the scans that are left.
    facts
        What was done, for the card.
    """

    scans: list[tuple[str, CachedScan]]
    facts: dict[str, Any]


def vet(
    scans: Sequence[tuple[str, CachedScan]], folder: Path, vetting: Vetting, tell: Callable[[str], None]
) -> LearningSet:
    """Leave out copies and what somebody decided against.

    Parameters
    ----------
    scans
        (patient, scan) in their order: the first of two copies stays.
    folder
        Of the cache.
    vetting
        What to do.
    tell
        Is told of each scan that is left out, in a sentence.

    Raises
    ------
    TrainingError
        If nothing is left.
    """
    wanted = [(patient, scan) for patient, scan in scans if scan.sha256 not in vetting.left_out]
    for _, scan in scans:
        if scan.sha256 in vetting.left_out:
            tell(f"{scan.name}: was left out, as --leave-out says.")
    seen, kept, copies = SeenSlices(), [], list[Copy]()
    for patient, scan in wanted:
        copy = None if vetting.keep_copies else seen.copy(scan.name, _hashes(folder, scan))
        if copy is None:
            kept.append((patient, scan))
        else:
            copies.append(copy)
            tell(str(copy))
    if not kept:
        raise TrainingError(f"{folder}: every scan was left out. Give scans that are not copies of one another.")
    return LearningSet(kept, _facts(kept, copies, len(scans) - len(wanted), vetting))


def crop_shares(scans: Sequence[tuple[str, CachedScan]], vetting: Vetting) -> NDArray[np.float64]:
    """Say how often crops are drawn from each scan, adding up to 1.

    By the square root of its slices, as long series say more but must not drown the other scanners; and no patient and
    no scanner more than its largest share. The scanners' limit comes last and holds.
    """
    shares = np.sqrt([float(scan.slices) for _, scan in scans])
    shares = capped_shares(shares / shares.sum(), [patient for patient, _ in scans], vetting.most_of_a_patient)
    return capped_shares(shares, [scan.scanner for _, scan in scans], vetting.most_of_a_scanner)


def _hashes(folder: Path, scan: CachedScan) -> tuple[str, ...]:
    """Read the hashes of a cached scan's slices, or take them: they lie beside its pixels."""
    place = (folder / scan.file).with_suffix(HASHES)
    try:
        stored = json.loads(place.read_bytes())
        if len(stored) == scan.slices:
            return tuple(str(each) for each in stored)
    except (OSError, ValueError, TypeError):
        pass
    taken = slice_hashes(np.load(folder / scan.file, mmap_mode="r"))
    write_file(place, json.dumps(taken).encode())
    return taken


def _facts(
    kept: Sequence[tuple[str, CachedScan]], copies: Sequence[Copy], left_out: int, vetting: Vetting
) -> dict[str, Any]:
    shares = crop_shares(kept, vetting)
    scanner, of_scanner = largest_share(shares, [scan.scanner for _, scan in kept])
    _, of_patient = largest_share(shares, [patient for patient, _ in kept])
    return {
        "copies_left_out": [{"name": copy.scan, "of": copy.of, "shared_slices": copy.shared} for copy in copies],
        "left_out_by_hand": left_out,
        "largest_scanner": {"name": scanner, "share": round(of_scanner, 3), "most": vetting.most_of_a_scanner},
        "largest_patient_share": {"share": round(of_patient, 3), "most": vetting.most_of_a_patient},
    }
