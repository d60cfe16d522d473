"""What contenders get to see of a case: single slices and places in them, the same for all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tamperscan.bench.cases import Case, Target
from tamperscan.bench.datasets.images import open_mask, open_scan
from tamperscan.bench.document import plain
from tamperscan.bench.fingerprints import fingerprint
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.masks import mask_nodes
from tamperscan.bench.places import HIT_MM, Mask, random_place
from tamperscan.bench.protocols.evidence import CaseFacts, facts_of
from tamperscan.bench.slices import spaced_slices
from tamperscan.bench.stored import Stored, store_slice
from tamperscan.bench.units import bench_units, region_of
from tamperscan.errors import ScanError, TamperscanError
from tamperscan.scan import Scan

VERSION = 1
"""Raised where other slices or places are chosen, so that older ones are made anew."""
# Of a tampering that spans many slices these are looked at: its middle, and on both sides of it.
_AROUND_MM = (-8.0, -4.0, 0.0, 4.0, 8.0)
_PLACES_A_SLICE = 4


@dataclass(frozen=True)
class SliceCut:
    """One slice of a case.

    Attributes
    ----------
    index
        Number of the slice in the scan.
    key
        Of the stored slice.
    tampered
        Whether anything in it was tampered with.
    mask
        Which of its nodes were, as hexadecimal digits; None where that is not known.
    """

    index: int
    key: str
    tampered: bool
    mask: str | None = None


@dataclass(frozen=True)
class PlaceCut:
    """One place of a case.

    Attributes
    ----------
    key
        Of the stored slice.
    row, column
        Where.
    """

    key: str
    row: int
    column: int


@dataclass(frozen=True)
class Cuts:
    """What is looked at of a case.

    Attributes
    ----------
    facts
        What must be kept of the scan; its ``problem`` says why there is nothing to look at.
    slices
        Those that are scored.
    places
        The case's known places, in its order; or, of an authentic scan without any, some drawn at random.
    """

    facts: CaseFacts
    slices: tuple[SliceCut, ...] = ()
    places: tuple[PlaceCut, ...] = ()


def cut_cases(
    cases: Sequence[Case],
    folder: Path,
    *,
    most_slices: int | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Cuts]:
    """Choose and store what is looked at of every case; what an earlier run stored is taken from there.

    Parameters
    ----------
    cases
        Tampered or authentic.
    folder
        Where slices are stored.
    most_slices
        How many untampered slices of a scan at most; None for as many as the other measurements take.
    report
        Called with (cases done, cases in all).

    Returns
    -------
    dict
        By name of the case.
    """
    ledger = Ledger(folder / "cuts.jsonl")
    cuts = {}
    for done, case in enumerate(cases, start=1):
        key = _key(case, most_slices)
        if key not in ledger:
            ledger.add(key, plain(_cuts_or_problem(case, folder, most_slices)))
        cuts[case.name] = _cuts_of(ledger[key])
        report(done, len(cases))
    return cuts


def slices_through(planar: bool) -> int:
    """Return how many slices are looked at through a place that was tampered with, about."""
    return 1 if planar else len(_AROUND_MM)


def _key(case: Case, most_slices: int | None) -> str:
    told = [VERSION, most_slices, case.name, case.modality, case.spacing_mm, case.task, *case.targets]
    return fingerprint(case.scan, *map(str, told), fingerprint(case.mask))


def _cuts_or_problem(case: Case, folder: Path, most_slices: int | None) -> Cuts:
    try:
        return _cut(case, folder, most_slices)
    except TamperscanError as error:
        return Cuts(CaseFacts(problem=_without_folders(str(error), case.scan, case.mask)))


def _without_folders(words: str, *paths: Path | None) -> str:
    """Tell files by their names: where they lie on this machine is nobody's business."""
    for path in filter(None, paths):
        words = words.replace(f"{path.parent}{os.sep}", "")
    return words


def _cut(case: Case, folder: Path, most_slices: int | None) -> Cuts:
    scan = _read(case)
    facts = facts_of(case, scan)
    mask = None if case.mask is None else open_mask(case.mask, scan)
    altered = _altered(case, scan, mask)
    chosen = _chosen(case, scan, altered, most_slices)
    stored = _store(scan, {*chosen, *(target.slice for target in case.targets)}, folder)
    slices = tuple(
        SliceCut(
            index,
            stored[index].key,
            index in altered,
            mask_nodes(mask[index], stored[index].grid) if mask is not None and index in altered else None,
        )
        for index in chosen
    )
    return Cuts(facts, slices, _places(case, stored))


def _read(case: Case) -> Scan:
    scan = open_scan(case)
    for target in case.targets:
        place = (target.slice, target.row, target.column)
        if not all(0 <= index < side for index, side in zip(place, scan.shape, strict=True)):
            raise ScanError(
                case.scan,
                f"the place at slice {place[0]}, row {place[1]}, column {place[2]} does not fit {scan.shape} "
                "(slices, rows, columns)",
                "Correct the list of places",
            )
    return scan


def _altered(case: Case, scan: Scan, mask: Mask | None) -> frozenset[int]:
    """Return the slices in which anything was tampered with: by the mask, or else by the known places."""
    if not case.tampered:
        return frozenset()
    if mask is not None:
        return frozenset(int(index) for index in np.flatnonzero(mask.any(axis=(1, 2))))
    reach = int(HIT_MM / scan.spacing_mm[0])
    near = (range(target.slice - reach, target.slice + reach + 1) for target in tampering(case))
    return frozenset(index for indices in near for index in indices if 0 <= index < scan.shape[0])


def tampering(case: Case) -> list[Target]:
    """Return the places of a case that were tampered with."""
    return [target for target in case.targets if target.kind in ("injected", "removed")]


def _chosen(case: Case, scan: Scan, altered: frozenset[int], most_slices: int | None) -> list[int]:
    """Choose slices: a few through every tampering, and others of the scan in which nothing was done."""
    steps = {round(offset / scan.spacing_mm[0]) for offset in _AROUND_MM}
    through = {target.slice + step for target in tampering(case) for step in steps}
    others = [index for index in spaced_slices(scan, most_slices) if index not in altered]
    return sorted((through & altered) | set(others))


def _store(scan: Scan, indices: set[int], folder: Path) -> dict[int, Stored]:
    voxels, spacing = bench_units(scan), scan.spacing_mm[1:]
    regions = {index: region_of(voxels[index], spacing, scan.modality) for index in indices}
    return {
        index: store_slice(folder, voxels[index], region, spacing, scan.modality) for index, region in regions.items()
    }


def _places(case: Case, stored: dict[int, Stored]) -> tuple[PlaceCut, ...]:
    if case.targets or case.tampered:
        return tuple(PlaceCut(stored[each.slice].key, each.row, each.column) for each in case.targets)
    drawn = (
        (one.key, random_place(one.region, f"{case.name} {index} {number}"))
        for index, one in sorted(stored.items())
        for number in range(_PLACES_A_SLICE)
    )
    return tuple(PlaceCut(key, *place) for key, place in drawn if place is not None)


def _cuts_of(held: dict[str, Any]) -> Cuts:
    """Make of what `plain` made of one."""
    facts = held["facts"]
    spacing = facts["spacing_mm"]
    return Cuts(
        CaseFacts(tuple(facts["shape"]), None if spacing is None else tuple(spacing), facts["problem"]),
        tuple(SliceCut(**each) for each in held["slices"]),
        tuple(PlaceCut(**each) for each in held["places"]),
    )
