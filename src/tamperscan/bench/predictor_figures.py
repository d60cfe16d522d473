"""What the study of predictors measures."""

from __future__ import annotations

from dataclasses import dataclass

from tamperscan.bench.metrics import Estimate
from tamperscan.bench.student_figures import StudentFigures


@dataclass(frozen=True)
class VariantFigures:
    """What was measured of one predictor.

    Attributes
    ----------
    name, words
        Of the variant.
    steps
        Optimiser steps.
    parameters
        Of the network.
    seconds
        Processor time of one pass, as a multiple of the quickest variant's.
    errors
        Mean squared error of the predicted noise at each of `LEVELS_HU`, all held-out patients; None where the
        predictor needs neighbours, which most of them have not.
    ratio
        Error over that of the base on the same crops.
    series_errors, series_ratio
        The same on the crops that have neighbours.
    """

    name: str
    words: str
    steps: int
    parameters: int
    seconds: float
    errors: tuple[Estimate, ...] | None
    ratio: Estimate | None
    series_errors: tuple[Estimate, ...]
    series_ratio: Estimate | None


@dataclass(frozen=True)
class PredictorResult:
    """The whole study.

    Attributes
    ----------
    steps
        Of the full runs.
    batch, crop_px
        Crops a step, and their side.
    weights_sha256
        Of the packaged weights.
    learned
        Series learned from.
    patients, crops
        Held-out patients and crops.
    series_patients, series_crops
        Those with neighbouring slices.
    variants
        Each measured predictor.
    student
        Figures of the student, if it was asked for.
    """

    steps: int
    batch: int
    crop_px: int
    weights_sha256: str
    learned: int
    patients: int
    crops: int
    series_patients: int
    series_crops: int
    variants: tuple[VariantFigures, ...]
    student: StudentFigures | None
