"""What is measured, and the authentic scans that it is measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tamperscan.bench.fingerprints import hash_of
from tamperscan.detect.back_in_time import BackInTime
from tamperscan.detect.calibration import Calibration
from tamperscan.detect.detector import Detector
from tamperscan.detect.load import PACKAGED, PUBLISHED, load_detector
from tamperscan.detect.training import find_patients, read_split
from tamperscan.diffusion.weights import Card, open_weights
from tamperscan.errors import ScanError, WeightsError
from tamperscan.scan import Scan

CT_FOLDER = "ct"
CTGAN_FOLDER = "ctgan"
TRAIN_PART = "train"
TEST_PART = "test"


def load_reference(detector: str | Path, *, threads: int | None = None) -> BackInTime:
    """Load the published score with a detector's own predictor, or with imported official weights.

    Parameters
    ----------
    detector
        A packaged name, or a folder of weights.
    threads
        CPU threads; None for all.
    """
    if detector in (*PACKAGED, PUBLISHED):
        reference = load_detector(PUBLISHED, threads=threads)
        assert isinstance(reference, BackInTime)
        return reference
    if not Path(detector).is_dir():
        raise WeightsError(f"{detector}: no detector of this name and no folder. Packaged are: {', '.join(PACKAGED)}.")
    return BackInTime(open_weights(Path(detector)), threads=threads)


def load_headed(name: str | Path, head: str | None, *, threads: int | None = None) -> Detector | BackInTime:
    """Load a detector, with one of its heads if one is named.

    Raises
    ------
    WeightsError
        If there is no such detector or head.
    """
    return load_detector(name, head=head, threads=threads)


def name_with_head(detector: Detector | BackInTime) -> str:
    """Name a detector and the head that judges; the published score has none."""
    return f"{detector.name}, head {detector.head}" if isinstance(detector, Detector) else detector.name


def detector_key(detector: Detector | BackInTime) -> str:
    """Name a detector by its weights and its head; a change of its code is not noticed."""
    return hash_of(name_with_head(detector), detector.weights.sha256)


def calibration_of(detector: Detector | BackInTime) -> Calibration | None:
    """Return a detector's authentic scores; the published one has none."""
    return detector.calibration if isinstance(detector, Detector) else None


def held_out_patients(
    data: Path,
    split: Path,
    modality: str,
    *,
    on_error: Callable[[ScanError], None],
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[str, Scan]]:
    """Yield (patient, scan) of the authentic scans that nothing was made of.

    Parameters
    ----------
    data
        Folder with ``ct/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    modality
        Of the detector.
    on_error
        Called with what can't be read.
    report
        Called with (patients done, patients in all).
    """
    patients = read_split(split, TEST_PART)
    found = find_patients(data / CT_FOLDER, modality, split=split, parts=[TEST_PART], on_error=on_error)
    for patient, scan in found:
        report(patients.index(patient), len(patients))
        yield patient, scan
    report(len(patients), len(patients))


def made_of(card: Card) -> frozenset[str]:
    """Return the names of the scans that a detector was trained or calibrated on, as its card tells them."""
    used = [*card.training.get("scans", ()), *card.calibration.get("scans", ())]
    return frozenset(str(entry["name"]) for entry in used)
