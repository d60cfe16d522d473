"""Which measured scans a calibration counts: none that repeats another, and told whose scanner most of them are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tamperscan.detect.checkpoints import StoredScan
from tamperscan.detect.vetting import MOST_OF_A_SCANNER, Copy, SeenSlices, scanner_of


def without_copies(
    patients: Mapping[str, Sequence[StoredScan]], tell: Callable[[str, str], None]
) -> tuple[dict[str, list[StoredScan]], list[Copy]]:
    """Leave out scans that repeat the slices of others, and patients who have no other.

    Parameters
    ----------
    patients
        The measured scans of each patient, in their order: the first of two copies stays.
    tell
        Called with the name of each scan that is left out, and why.

    Returns
    -------
    patients, copies
        What is left, and what is not.
    """
    seen, copies = SeenSlices(), list[Copy]()
    kept: dict[str, list[StoredScan]] = {}
    for patient, scans in patients.items():
        for scan in scans:
            copy = seen.copy(scan.name, scan.hashes)
            if copy is None:
                kept.setdefault(patient, []).append(scan)
            else:
                copies.append(copy)
                tell(scan.name, str(copy).removeprefix(f"{scan.name}: "))
    return kept, copies


def source_facts(patients: Mapping[str, Sequence[StoredScan]], copies: Sequence[Copy]) -> dict[str, Any]:
    """Say what was left out and whose scanner most patients were scanned with, for the card."""
    scanners = Counter(scanner_of(scans[0].header) for scans in patients.values())
    known = {name: count for name, count in scanners.items() if name}
    largest = max(known, key=lambda name: known[name], default="")
    share = known[largest] / len(patients) if largest else 0.0
    return {
        "copies_left_out": [{"name": copy.scan, "of": copy.of, "shared_slices": copy.shared} for copy in copies],
        "largest_scanner": {"name": largest, "share": round(share, 3), "most": MOST_OF_A_SCANNER},
    }


def one_sided(facts: Mapping[str, Any]) -> str:
    """Warn of a calibration that is mostly of one scanner, by its card; empty where it is not."""
    largest = facts.get("largest_scanner", {})
    if not largest.get("name") or largest["share"] <= largest["most"]:
        return ""
    return (
        f"{largest['share']:.0%} of the patients were scanned with one scanner model ({largest['name']}). Whoever can"
        " put scans into its archive can move the calibration: add patients of others."
    )
