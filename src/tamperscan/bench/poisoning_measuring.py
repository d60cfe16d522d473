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
    found: list[StudySlice] = []
    for group, held_out, scan in _patients(data, split, on_error):
        for index in spread_slices(scan.shape[0], SLICES_A_SCAN, ends=0.2):
            found += _with_forgeries(measurer, group, held_out, scan, index, methods)
            report(len(found))
        del scan
    for label in read_labels(data / CTGAN_FOLDER):
        scan = read_scan(data / CTGAN_FOLDER / label.file)
        action: Action = "remove" if label.kind == "FB" else "inject"
        found += _measured(measurer, label.scan, True, CTGAN, action, scan.name, scan)
        report(len(found))
    return found


def _patients(data: Path, split: Path, on_error: Callable[[ScanError], None]) -> Iterator[tuple[str, bool, Scan]]:
    for held_out, parts in ((False, LEARNED), (True, HELD_OUT)):
        for patient, scan in find_patients(data / CT_FOLDER, "CT", split=split, parts=list(parts), on_error=on_error):
            yield patient, held_out, scan


def _with_forgeries(
    measurer: ScanMeasurer, patient: str, held_out: bool, scan: Scan, index: int, methods: Sequence[Method]
) -> Iterator[StudySlice]:
    name = f"{scan.name}_{index:03}"
    one = cut_slices(scan, index, 1, name)
    authentic = list(_measured(measurer, patient, held_out, AUTHENTIC, "", name, one))
    yield from authentic
    if not authentic:
        return
    for number, method in enumerate(methods):
        seed = int(hash_of(name, method.name), 16) % 2**31
        action: Action = ACTIONS[(seed + number) % len(ACTIONS)]
        ordered = replace(one, name=f"{name}_{method.name}_{action}_{seed}")  # names what is not forged yet
        kept = measurer.found(ordered)
        if kept is None:
            made = forged_slice(scan, index, method, action, seed)
            if made is None:
                continue
            kept = measurer.measure(made[1], measurer.place(ordered))
        if not kept.reasons:
            yield StudySlice(patient, held_out, method.name, action, name, kept)


def _measured(
    measurer: ScanMeasurer, patient: str, held_out: bool, source: str, action: str, of: str, scan: Scan
) -> Iterator[StudySlice]:
    place = measurer.place(scan)
    kept = measurer.found(scan) or measurer.measure(scan, place)
    if not kept.reasons:
        yield StudySlice(patient, held_out, source, action, of, kept)
