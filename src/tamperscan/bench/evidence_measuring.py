"""Slices for the study of evidence: window statistics of several sizes, and the trace of the predictor's Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.labels import read_labels
from tamperscan.bench.subjects import CT_FOLDER, CTGAN_FOLDER
from tamperscan.bench.volumes_blocks import cut_slices, spread_slices
from tamperscan.detect.measure import SliceLook, SliceMeter
from tamperscan.detect.regions import TISSUES
from tamperscan.detect.statistics import LEAST_SHARE, WindowAverager, WindowStatistics, grid_step, window_statistics
from tamperscan.detect.training import find_patients
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.weights import Weights
from tamperscan.errors import ScanError
from tamperscan.scan import Scan, read_scan

SIZES_MM = (3.0, 5.0, 8.0, 12.0, 18.0)
"""Standard deviations of the windows: as wide as squares of 10 to 62 mm (a square's side is sqrt(12) of them)."""
LEARNED_PARTS = ("train", "calibrate")
SLICES_A_SCAN = 10
# What the image is moved by, in model units, to see how the predicted noise follows.
_NUDGE = 0.01

Array = NDArray[np.float32]
Report = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class StudySlice:
    """A slice and what was measured in it.

    Attributes
    ----------
    group
        Its patient, or the scan that a tampered slice is of.
    kind
        ``"FB"`` or ``"FM"``; None for an authentic one.
    spacing_mm
        Distance between (rows, columns).
    distance_mm
        float32 ``[row, column]`` on the coarse grid: distance from the tampered place; None in an authentic slice.
    by_size
        Window statistics by the windows' size in mm.
    traces
        float32 ``[tissue, row, column]`` by size: mean of the diagonal of the predictor's Jacobian; NaN where the
        tissue is missing.
    """

    group: str
    kind: str | None
    spacing_mm: tuple[float, float]
    distance_mm: Array | None
    by_size: Mapping[float, WindowStatistics]
    traces: Mapping[float, Array]


def measure_study(
    weights: Weights,
    data: Path,
    split: Path,
    *,
    threads: int | None = None,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Report = lambda done: None,
) -> list[StudySlice]:
    """Measure tampered slices of the development half, and authentic slices of the patients that weights learn from.

    Parameters
    ----------
    weights
        Of the noise predictor.
    data
        Folder with ``ct/`` and ``ctgan/`` in it.
    split
        JSON file of part to globs below ``ct/``.
    threads
        CPU threads.
    on_error
        Called with what can't be read.
    report
        Called with the number of slices measured.
    """
    meter = SliceMeter(NoisePredictor(weights, threads=threads), weights.card)
    generator = np.random.default_rng(0)
    made: list[StudySlice] = []
    for group, kind, place, scan in _slices(data, split, on_error):
        measured = _measure(meter, scan, group, kind, place, generator)
        if measured is not None:
            made.append(measured)
            report(len(made))
    return made


def _slices(
    data: Path, split: Path, on_error: Callable[[ScanError], None]
) -> Iterator[tuple[str, str | None, tuple[int, int] | None, Scan]]:
    for label in read_labels(data / CTGAN_FOLDER):
        if label.development:
            yield label.scan, label.kind, (label.row, label.column), read_scan(data / CTGAN_FOLDER / label.file)
    for patient, scan in find_patients(
        data / CT_FOLDER, "CT", split=split, parts=list(LEARNED_PARTS), on_error=on_error
    ):
        for index in spread_slices(scan.shape[0], SLICES_A_SCAN, ends=0.05):
            yield patient, None, None, cut_slices(scan, index, 1, scan.name)


def _measure(
    meter: SliceMeter,
    scan: Scan,
    group: str,
    kind: str | None,
    place: tuple[int, int] | None,
    generator: np.random.Generator,
) -> StudySlice | None:
    spacing_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
    look = meter.of(scan).look(scan.voxels[0], spacing_mm)
    if look is None:
        return None
    diagonal = jacobian_diagonal(meter, look, generator)
    by_size = {
        size: window_statistics(look.hu, look.noise, look.inside, look.tissues, spacing_mm, window_mm=size)
        for size in SIZES_MM
    }
    if not all(each.inside.any() for each in by_size.values()):
        return None
    traces = {size: _by_tissue(diagonal, look, WindowAverager(spacing_mm, size)) for size in SIZES_MM}
    away = None if place is None else _distance_mm(look, place, spacing_mm, by_size[SIZES_MM[0]].inside.shape)
    return StudySlice(group, kind, spacing_mm, away, by_size, traces)


def jacobian_diagonal(meter: SliceMeter, look: SliceLook, generator: np.random.Generator) -> Array:
    """Estimate how much the noise predicted at a pixel follows that pixel, averaged over the levels.

    One probe of random signs and a difference quotient (Hutchinson, Communications in Statistics 19, 1990): right in
    the mean over pixels, which is all that is used.

    Returns
    -------
    float32 ``[row, column]``
    """
    signs = np.where(generator.random(look.shown.shape) < 0.5, np.float32(-1.0), np.float32(1.0))
    moved = meter.predict(np.asarray(look.shown + np.float32(_NUDGE) * signs, np.float32))
    return np.asarray(((moved - look.noise) * signs).mean(axis=0) / np.float32(_NUDGE), np.float32)


def _by_tissue(diagonal: Array, look: SliceLook, averager: WindowAverager) -> Array:
    planes = []
    for name in TISSUES:
        mask = getattr(look.tissues, name).astype(np.float32)
        share = averager(mask)
        enough = share >= LEAST_SHARE[name]
        planes.append(np.where(enough, averager(diagonal * mask) / np.where(enough, share, 1.0), np.float32(np.nan)))
    return np.stack(planes).astype(np.float32)


def _distance_mm(
    look: SliceLook, place: tuple[int, int], spacing_mm: tuple[float, float], shape: tuple[int, ...]
) -> Array:
    """Distance of the coarse grid's places from a place of the slice."""
    step = grid_step(spacing_mm)
    off = [
        ((np.arange(count) + 0.5) * step + side.start - centre) * pixel
        for count, side, centre, pixel in zip(shape, look.box, place, spacing_mm, strict=True)
    ]
    return np.asarray(np.hypot(off[0][:, None], off[1][None, :]), np.float32)
