"""Slices for the study of poisoned calibration: authentic ones, forgeries of the same ones, and CT-GAN's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tamperscan.bench.fingerprints import hash_of
from tamperscan.bench.labels import read_labels
from tamperscan.bench.subjects import CT_FOLDER, CTGAN_FOLDER
from tamperscan.bench.volumes_blocks import cut_slices, spread_slices
from tamperscan.detect.checkpoints import StoredScan
from tamperscan.detect.measuring import ScanMeasurer
from tamperscan.detect.self_forged import FACTS_FILE, HEAD_FILE
from tamperscan.detect.training import find_patients
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import ScanError
from tamperscan.forge.canaries import forged_slice
from tamperscan.forge.method import ACTIONS, Action, Method
from tamperscan.scan import Scan, read_scan

LEARNED: Final = ("train", "calibrate")
HELD_OUT: Final = ("test",)
CTGAN: Final = "ct-gan"
AUTHENTIC: Final = "authentic"
SLICES_A_SCAN: Final = 3
"""Slices of a series: a scan of many must not count for more than one of a patient who has a slice only."""


@dataclass(frozen=True)
class StudySlice:
    """A slice that was measured.

    Attributes
    ----------
    patient
        Whose it is, or the scan of CT-GAN that it is of.
    held_out
        Whether nothing may be learned from its patient.
    source
        ``"authentic"``, ``"ct-gan"`` or the forging method.
    action
        ``"remove"`` or ``"inject"``; empty where it is authentic.
    of
        Names the authentic slice that a forgery was made of; the slice itself where it is authentic.
    stored
        Its measurements.
    """

    patient: str
    held_out: bool
    source: str
    action: str
    of: str
    stored: StoredScan


def without_head(weights: Weights) -> Weights:
    """Return weights as if they had no self-forged head: it is not what is poisoned here, and costs half the time."""
    files = {name: sha for name, sha in weights.card.files.items() if name not in (HEAD_FILE, FACTS_FILE)}
    return replace(weights, card=weights.card.model_copy(update={"files": files}))


def measure_slices(
    weights: Weights,
    data: Path,
    split: Path,
    kept: Path,
    methods: Sequence[Method],
    *,
    threads: int | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[int], None] = lambda done: None,
) -> list[StudySlice]:
    """Measure every slice, or find what an earlier run measured.

    Parameters
    ----------
    weights, data, split, threads, on_error, report
        As for the study of evidence (:func:`tamperscan.bench.evidence_measuring.measure_study`).
    kept
        Folder of measurements.
    methods
        Forging methods; each makes one forgery of a slice, by turns a removal and an injection.
    """
    measurer = ScanMeasurer(without_head(weights), kept, threads=threads)
    return measure_by_each([measurer], data, split, methods, on_error=on_error, report=report)[0]


def measure_by_each(
    measurers: Sequence[ScanMeasurer],
    data: Path,
    split: Path,
    methods: Sequence[Method],
    *,
    forge_learned: bool = True,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[int], None] = lambda done: None,
) -> list[list[StudySlice]]:
    """Measure every slice by several networks; scans are read and forged once for all of them.

    Parameters
    ----------
    measurers
        One for each network.
    data, split, methods, on_error, report
        As for `measure_slices`.
    forge_learned
        Whether to forge slices of patients that are learned from too.

    Returns
    -------
    list of list of StudySlice
        For each measurer what `measure_slices` would give.
    """
    found: list[tuple[StudySlice, ...]] = []
    for group, held_out, scan in _patients(data, split, on_error):
        forging = methods if held_out or forge_learned else ()
        for name, index in study_slices(scan):
            found += _with_forgeries(measurers, group, held_out, scan, index, name, forging)
            report(len(found))
        del scan
    for label in read_labels(data / CTGAN_FOLDER):
        scan = read_scan(data / CTGAN_FOLDER / label.file)
        action: Action = "remove" if label.kind == "FB" else "inject"
        found += _measured(measurers, label.scan, True, CTGAN, action, scan.name, scan)
        report(len(found))
    return [[each[number] for each in found] for number in range(len(measurers))]


def study_slices(scan: Scan) -> list[tuple[str, int]]:
    """Name the slices of a scan that the study takes, and say where they are."""
    return [(f"{scan.name}_{index:03}", index) for index in spread_slices(scan.shape[0], SLICES_A_SCAN, ends=0.2)]


def how_to_forge(name: str, methods: Sequence[Method]) -> Iterator[tuple[Method, Action, int]]:
    """Yield (method, action, seed) of a slice's forgeries: always the same, by turns removals and injections."""
    for number, method in enumerate(methods):
        seed = int(hash_of(name, method.name), 16) % 2**31
        yield method, ACTIONS[(seed + number) % len(ACTIONS)], seed


def _patients(data: Path, split: Path, on_error: Callable[[ScanError], None]) -> Iterator[tuple[str, bool, Scan]]:
    for held_out, parts in ((False, LEARNED), (True, HELD_OUT)):
        for patient, scan in find_patients(data / CT_FOLDER, "CT", split=split, parts=list(parts), on_error=on_error):
            yield patient, held_out, scan


def _with_forgeries(
    measurers: Sequence[ScanMeasurer],
    patient: str,
    held_out: bool,
    scan: Scan,
    index: int,
    name: str,
    methods: Sequence[Method],
) -> Iterator[tuple[StudySlice, ...]]:
    one = cut_slices(scan, index, 1, name)
    authentic = list(_measured(measurers, patient, held_out, AUTHENTIC, "", name, one))
    yield from authentic
    if not authentic:
        return
    for method, action, seed in how_to_forge(name, methods):
        ordered = replace(one, name=f"{name}_{method.name}_{action}_{seed}")  # names what is not forged yet
        kept = [known for measurer in measurers if (known := measurer.found(ordered))]
        if len(kept) < len(measurers):
            made = forged_slice(scan, index, method, action, seed)
            if made is None:
                continue
            kept = [measurer.measure(made[1], measurer.place(ordered)) for measurer in measurers]
        yield from _usable(kept, patient, held_out, method.name, action, name)


def _measured(
    measurers: Sequence[ScanMeasurer], patient: str, held_out: bool, source: str, action: str, of: str, scan: Scan
) -> Iterator[tuple[StudySlice, ...]]:
    kept = [measurer.found(scan) or measurer.measure(scan, measurer.place(scan)) for measurer in measurers]
    yield from _usable(kept, patient, held_out, source, action, of)


def _usable(
    kept: Sequence[StoredScan], patient: str, held_out: bool, source: str, action: str, of: str
) -> Iterator[tuple[StudySlice, ...]]:
    """Yield a slice as each measured it, if all could."""
    if not any(each.reasons for each in kept):
        yield tuple(StudySlice(patient, held_out, source, action, of, each) for each in kept)
