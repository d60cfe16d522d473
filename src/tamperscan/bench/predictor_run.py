"""The study of predictors, from folders to figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tamperscan.bench.metrics import Estimate
from tamperscan.bench.predictor_figures import PredictorResult, VariantFigures
from tamperscan.bench.predictor_measuring import (
    LEVELS_HU,
    Errors,
    HeldOut,
    held_out_crops,
    measure_errors,
    parameters_of,
    seconds_a_pass,
)
from tamperscan.bench.predictor_study import (
    BASE,
    CACHE_FOLDER,
    VARIANTS,
    Trained,
    Variant,
    check_variants,
    study_cache,
    train_variant,
)
from tamperscan.bench.student_measuring import measure_student
from tamperscan.data import weights_path
from tamperscan.detect.crops import CachedScan, CropSource
from tamperscan.diffusion.export import read_local_unet
from tamperscan.diffusion.student import StudentSettings, StudentUNet, train_student
from tamperscan.diffusion.train import Progress
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.diffusion.weights import Card, open_weights
from tamperscan.errors import ScanError
from tamperscan.scan.windows import IntensityWindow

PACKAGED = "packaged"
_HELD_OUT = "held-out.npz"
_STUDENT_PX = 64


def run_predictors(
    data: Path,
    split: Path,
    runs: Path,
    *,
    steps: int,
    student_steps: int,
    names: Sequence[str] = tuple(VARIANTS),
    variants: Mapping[str, Variant] = VARIANTS,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[str, int, int], None] = lambda name, step, steps: None,
) -> PredictorResult:
    """Train what is not trained yet, and measure it all.

    Parameters
    ----------
    data
        Folder with ``ct/`` and ``ctgan/`` in it.
    split
        JSON file of part to globs below ``ct/``; a glob is a patient.
    runs
        Folder of the study; an ended run goes on from it.
    steps
        Optimiser steps of a full run.
    student_steps
        Of the student; 0 for no student.
    names
        Which variants.
    variants
        Where they are looked up.
    on_error
        Called with what can't be read.
    report
        Called with (variant, step, steps).

    Raises
    ------
    BenchError
        If a variant is not known, or no held-out slice holds lung.
    """
    check_variants(names, variants)
    weights = open_weights(weights_path("ct"))
    teacher = read_local_unet(weights.folder)
    cached = study_cache(data, split, runs, on_error)
    trained = [_train(name, cached, runs, steps, variants, report) for name in names]
    held_out = held_out_crops(data, split, runs / _HELD_OUT, on_error)
    trained.append(Trained(PACKAGED, teacher, int(weights.card.training["steps"])))
    figures = _figures(trained, {**variants, PACKAGED: Variant("packaged weights")}, held_out)
    student = None
    if student_steps:
        network = _train_student(teacher, weights.card, cached, runs, student_steps, report)
        student = measure_student(data, split, teacher, network, weights.card, held_out, student_steps, on_error)
    in_series = [name for name, there in zip(held_out.patients, held_out.in_series, strict=True) if there]
    settings = variants[names[0]].preset
    return PredictorResult(
        steps=steps,
        batch=settings.batch,
        crop_px=settings.crop_px,
        weights_sha256=weights.sha256,
        learned=len(cached),
        patients=len(set(held_out.patients)),
        crops=len(held_out.patients),
        series_patients=len(set(in_series)),
        series_crops=len(in_series),
        variants=figures,
        student=student,
    )


def _train(
    name: str,
    cached: Sequence[CachedScan],
    runs: Path,
    steps: int,
    variants: Mapping[str, Variant],
    report: Callable[[str, int, int], None],
) -> Trained:
    def tell(progress: Progress) -> None:
        report(name, progress.step, progress.steps)

    return train_variant(name, cached, runs, steps, variants=variants, report=tell)


def _train_student(
    teacher: LocalUNet,
    card: Card,
    cached: Sequence[CachedScan],
    runs: Path,
    steps: int,
    report: Callable[[str, int, int], None],
) -> StudentUNet:
    assert card.window is not None  # the packaged card has one
    window = IntensityWindow(*card.window)
    crops = CropSource(runs / CACHE_FOLDER, list(cached), crop_px=_STUDENT_PX, window=window)
    settings = StudentSettings(tuple(level / window.units_per_model_unit for level in card.levels_hu))
    folder = runs / f"student-{steps}"
    return train_student(
        teacher, settings, crops, folder, steps, report=lambda step, loss: report("student", step, steps)
    )


def _figures(
    trained: Sequence[Trained], variants: Mapping[str, Variant], held_out: HeldOut
) -> tuple[VariantFigures, ...]:
    errors = {
        each.name: measure_errors(each.network, variants[each.name].preset.neighbours, held_out) for each in trained
    }
    seconds = seconds_a_pass({each.name: each.network for each in trained})
    quickest = min(seconds.values())
    return tuple(
        VariantFigures(
            name=each.name,
            words=variants[each.name].words,
            steps=each.steps,
            parameters=parameters_of(each.network),
            seconds=seconds[each.name] / quickest,
            **_compared(each.name, errors, held_out),
        )
        for each in trained
    )


def _compared(name: str, errors: Mapping[str, Errors], held_out: HeldOut) -> dict[str, Any]:
    everywhere, in_series = np.ones(len(held_out.patients), dtype=bool), held_out.in_series
    own, patients = errors[name], held_out.patients
    complete = bool(np.isfinite(own.by_level).all())

    def at(where: NDArray[np.bool_]) -> tuple[Estimate, ...]:
        return tuple(own.at(level, patients, where) for level in range(len(LEVELS_HU)))

    def ratio(where: NDArray[np.bool_]) -> Estimate | None:
        return own.ratio_to(errors[BASE], patients, where) if BASE in errors and name != BASE else None

    return {
        "errors": at(everywhere) if complete else None,
        "ratio": ratio(everywhere) if complete else None,
        "series_errors": at(in_series) if in_series.any() else (),
        "series_ratio": ratio(in_series) if in_series.any() else None,
    }
