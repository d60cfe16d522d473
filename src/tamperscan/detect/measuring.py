"""Measure many scans for a calibration: each is read, measured, kept on the disk and let go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tamperscan.detect.acquisition import measure_acquisition
from tamperscan.detect.ahead import one_ahead, slices_at_a_time
from tamperscan.detect.checkpoints import Checkpoints, StoredScan
from tamperscan.detect.ground import off_ground, reasons_to_abstain
from tamperscan.detect.heads import heads_in
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.measured import measure_scan
from tamperscan.detect.self_forged import SelfForgedNetwork
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.runtime import usable_cores
from tamperscan.diffusion.weights import Weights
from tamperscan.scan import PlannedScan, Scan, pixel_sha256

Scans = Iterable[tuple[str, Scan | PlannedScan]]
"""(patient, scan), decoded or still to be."""


class ScanMeasurer:
    """Measures scans by the networks of weights, or finds what was measured before.

    Parameters
    ----------
    weights
        The trained predictor, with a self-forged head or without.
    folder
        Where measurements are kept.
    threads
        CPU threads; None for all that this process may use.
    """

    def __init__(self, weights: Weights, folder: Path, *, threads: int | None = None) -> None:
        self._weights = weights
        threads = threads or usable_cores()
        # Slices are measured side by side, each by one thread.
        network = SelfForgedNetwork(weights, threads=threads, calls=threads) if len(heads_in(weights)) > 1 else None
        predictor = NoisePredictor(weights, threads=threads, calls=threads)
        self._meter = SliceMeter(predictor, weights.card, network)
        self._workers = slices_at_a_time(threads, beside_gpu=predictor.network.wants_batches)
        self._kept = Checkpoints(folder, weights, predictor.runtime)

    def place(self, scan: Scan | PlannedScan) -> Path:
        """Return where the scan's measurements are or will be kept."""
        if isinstance(scan, PlannedScan):
            return self._kept.place([source.label for source in scan.sources])
        digest = scan.sha256 or pixel_sha256(scan.voxels)
        return self._kept.place([scan.name, digest, scan.modality, repr(scan.spacing_mm), *scan.warnings])

    def found(self, scan: Scan | PlannedScan) -> StoredScan | None:
        """Return what was measured before; None where nothing was."""
        return self._kept.find(self.place(scan))

    def measure(self, scan: Scan, place: Path) -> StoredScan:
        """Measure a scan and keep the measurements.

        Raises
        ------
        OutputError
            If they can't be kept.
        """
        reasons = reasons_to_abstain(scan, self._weights.card)
        acquisition = None if reasons else measure_acquisition(scan)
        if acquisition is not None:
            reasons = off_ground(acquisition, ())
        if reasons:
            return self._kept.keep(place, scan, None, reasons)
        measured = replace(measure_scan(self._meter, scan, workers=self._workers), acquisition=acquisition)
        if not measured.slices:
            return self._kept.keep(place, scan, None, ("no lung",))
        return self._kept.keep(place, scan, measured, ())


def measure_all(
    measurer: ScanMeasurer, scans: Scans, on_scan: Callable[[str, str], None] = lambda name, outcome: None
) -> dict[str, list[StoredScan]]:
    """Measure scans, or find what was measured before, one scan in memory and the next being read.

    Parameters
    ----------
    measurer
        Measures them.
    scans
        Of all patients.
    on_scan
        Called with each scan's name and what came of it.

    Returns
    -------
    dict of patient to list of StoredScan
        Only scans that can be used.
    """
    patients: dict[str, list[StoredScan]] = {}
    for patient, place, scan in one_ahead(_read(measurer, scans)):
        kept = measurer.measure(scan, place) if isinstance(scan, Scan) else scan
        on_scan(kept.name, " ".join(kept.reasons) or f"{kept.slices} slices")
        if not kept.reasons:
            patients.setdefault(patient, []).append(kept)
        del scan  # or it would stay in memory while the next one but one is read
    return patients


def _read(measurer: ScanMeasurer, scans: Scans) -> Iterator[tuple[str, Path, Scan | StoredScan]]:
    """Yield scans in their order, decoded unless they were measured before; what can't be read is left out."""
    for patient, planned in scans:
        place, known = measurer.place(planned), measurer.found(planned)
        scan = known or (planned.read() if isinstance(planned, PlannedScan) else planned)
        if scan is not None:
            yield patient, place, scan
        del scan
