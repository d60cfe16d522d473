"""A student beside its teacher: time, the noise that it predicts, what a detector measures of it, and what is found."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tamperscan.bench.labels import Kind, Label, read_labels
from tamperscan.bench.metrics import auc_estimate, bootstrap, equal_weights, mean_estimate, wins
from tamperscan.bench.predictor_measuring import HeldOut
from tamperscan.bench.student_figures import Found, Likeness, StudentFigures
from tamperscan.bench.student_predictors import StudentPredictor, TeacherPredictor, time_ratio
from tamperscan.bench.subjects import CT_FOLDER, CTGAN_FOLDER
from tamperscan.detect.measure import SliceMeter
from tamperscan.detect.statistics import WindowStatistics
from tamperscan.detect.training import find_patients
from tamperscan.detect.typicality import Typicality, evidence, fit_typicality
from tamperscan.diffusion.student import StudentUNet, teach
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.diffusion.weights import Card
from tamperscan.errors import ScanError
from tamperscan.scan import read_scan
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import IntensityWindow

# Slices of a series that are measured: neighbours say little more.
_SLICES_A_SCAN = 6
_BORDER_PX = 24

Array = NDArray[np.float64]
Pair = tuple[WindowStatistics, WindowStatistics]


def noise_likeness(
    teacher: LocalUNet, student: StudentUNet, held_out: HeldOut, window: IntensityWindow
) -> tuple[Likeness, ...]:
    """Compare the noise in crops as they are, level by level; patients count alike."""
    shown = window.to_model(held_out.crops[:, 1:2]).astype(np.float32)
    inner = slice(_BORDER_PX, -_BORDER_PX)
    rows = []
    for crop in torch.from_numpy(shown):
        wanted = teach(teacher, crop[None], student.sigmas)[0, :, inner, inner].flatten(1)
        with torch.inference_mode():
            given = student(crop[None])[0, :, inner, inner].flatten(1)
        rows.append([_alike(*pair) for pair in zip(wanted.numpy(), given.numpy(), strict=True)])
    table = np.array(rows)
    return tuple(_likeness(table[:, level], held_out.patients) for level in range(len(student.sigmas)))


def _alike(wanted: NDArray[np.float32], given: NDArray[np.float32]) -> tuple[float, float]:
    error = np.sqrt(np.square(given - wanted).mean() / np.square(wanted).mean())
    return float(np.corrcoef(wanted, given)[0, 1]), float(error)


def _likeness(pairs: Array, groups: Sequence[str]) -> Likeness:
    return Likeness(*(mean_estimate(pairs[:, column], groups, alike=True) for column in (0, 1)))


class Slices:
    """Measures the same slices with both predictors."""

    def __init__(self, teacher: LocalUNet, student: StudentUNet, card: Card) -> None:
        self._meters = (SliceMeter(TeacherPredictor(teacher), card), SliceMeter(StudentPredictor(student), card))

    def of(self, scan: Scan) -> Iterator[Pair]:
        """Yield what each measures, slice by slice, of at most six slices of a scan."""
        pixel_mm = (scan.spacing_mm[1], scan.spacing_mm[2])
        count = min(_SLICES_A_SCAN, scan.shape[0])
        for z in np.unique(np.linspace(0, scan.shape[0] - 1, count + 2)[1:-1].round().astype(int)):
            one, other = (meter.of(scan).measure(scan.voxels[z], pixel_mm) for meter in self._meters)
            if one is not None and other is not None:
                yield one.statistics, other.statistics


@dataclass(frozen=True, eq=False)
class _Measured:
    """Slices of one part: whose they are, their pixel spacing, and both measurements."""

    groups: list[str]
    spacings: list[tuple[float, float]]
    pairs: list[Pair]


def _measure(scans: Iterable[tuple[str, Scan]], slices: Slices) -> _Measured:
    measured = _Measured([], [], [])
    for group, scan in scans:
        for pair in slices.of(scan):
            measured.groups.append(group)
            measured.spacings.append((scan.spacing_mm[1], scan.spacing_mm[2]))
            measured.pairs.append(pair)
    return measured


def measure_student(
    data: Path,
    split: Path,
    teacher: LocalUNet,
    student: StudentUNet,
    card: Card,
    held_out: HeldOut,
    steps: int,
    on_error: Callable[[ScanError], None] = lambda error: None,
) -> StudentFigures:
    """Measure a student beside its teacher.

    What is typical is learned from the training patients with the maps of each; tampered slices are those of the
    development half, authentic ones those of the calibration patients.

    Parameters
    ----------
    data, split
        Folder with ``ct/`` and ``ctgan/`` in it; JSON file of part to globs below ``ct/``.
    teacher, student
        The networks.
    card
        Of the teacher.
    held_out
        Crops to compare the noise in.
    steps
        Of the student's training.
    on_error
        Called with what can't be read.
    """
    slices = Slices(teacher, student, card)

    def part(name: str) -> _Measured:
        found = find_patients(data / CT_FOLDER, "CT", split=split, parts=[name], on_error=on_error)
        return _measure(found, slices)

    typical = _typical(part("train"))
    test, authentic = part("test"), part("calibrate")
    assert card.window is not None  # the packaged card has one
    negatives = _scores(authentic, typical)
    labels = [label for label in read_labels(data / CTGAN_FOLDER) if label.development]
    found = tuple(_found(kind, labels, data, slices, typical, negatives, authentic.groups) for kind in ("FB", "FM"))
    return StudentFigures(
        levels_hu=card.levels_hu,
        steps=steps,
        time_ratio=time_ratio(teacher, student),
        noise=noise_likeness(teacher, student, held_out, IntensityWindow(*card.window)),
        energy=_window_likeness(test, "energy"),
        whiteness=_window_likeness(test, "whiteness"),
        slices=len(test.pairs),
        patients=len(set(test.groups)),
        found=found,
        negatives=(len(authentic.pairs), len(set(authentic.groups))),
    )


def _typical(measured: _Measured) -> tuple[Typicality, Typicality]:
    """Learn what is typical of the teacher's maps, and of the student's."""
    patients = sorted(set(measured.groups))
    one, other = (
        fit_typicality(
            [
                [pair[which] for group, pair in zip(measured.groups, measured.pairs, strict=True) if group == patient]
                for patient in patients
            ]
        )
        for which in (0, 1)
    )
    return one, other


def _scores(measured: _Measured, typical: tuple[Typicality, Typicality]) -> Array:
    """Return the highest suspicion of each slice, ``[which, slice]``."""
    scores = [
        [
            _peak(pair[which], typical[which], spacing)
            for pair, spacing in zip(measured.pairs, measured.spacings, strict=True)
        ]
        for which in (0, 1)
    ]
    return np.array(scores)


def _peak(statistics: WindowStatistics, typicality: Typicality, spacing_mm: tuple[float, float]) -> float:
    suspicion = evidence(statistics, typicality, spacing_mm).suspicion
    return float(np.nanmax(suspicion)) if np.isfinite(suspicion).any() else -math.inf


def _window_likeness(measured: _Measured, name: str) -> Likeness:
    """Compare a statistic of windows slice by slice, each tissue less its median, as a detector looks at it."""
    rows = []
    for pair in measured.pairs:
        wanted, given = (_centred(getattr(statistics, name)[:, statistics.inside]) for statistics in pair)
        known = np.isfinite(wanted) & np.isfinite(given)
        error = math.sqrt(float(np.square(wanted[known] - given[known]).mean()))
        rows.append((float(np.corrcoef(wanted[known], given[known])[0, 1]), error))
    return _likeness(np.array(rows), measured.groups)


def _centred(values: NDArray[np.float32]) -> Array:
    rows = [row - np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else row for row in values]
    return np.array(rows, dtype=np.float64)


def _found(
    kind: Kind,
    labels: Sequence[Label],
    data: Path,
    slices: Slices,
    typical: tuple[Typicality, Typicality],
    negatives: Array,
    patients: Sequence[str],
) -> Found:
    files = {label.file: label.scan for label in labels if label.kind == kind}
    tampered = _measure(((scan, read_scan(data / CTGAN_FOLDER / file)) for file, scan in files.items()), slices)
    positives = _scores(tampered, typical)
    teacher, student = (auc_estimate(positives[which], negatives[which], tampered.groups, patients) for which in (0, 1))
    tables = [wins(positives[which], negatives[which]) for which in (0, 1)]
    gap, alike = tables[1] - tables[0], equal_weights(patients)

    def difference(first: Array, second: Array) -> float:
        weights = second * alike
        total = float(first.sum() * weights.sum())
        return float(first @ gap @ weights) / total if total > 0 else math.nan

    return Found(kind, len(tampered.pairs), teacher, student, bootstrap(difference, tampered.groups, patients))
