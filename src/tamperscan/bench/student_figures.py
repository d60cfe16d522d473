"""What is measured of a student beside its teacher."""

from __future__ import annotations

from dataclasses import dataclass

from tamperscan.bench.labels import Kind
from tamperscan.bench.metrics import Estimate


@dataclass(frozen=True)
class Likeness:
    """How like two maps are.

    Attributes
    ----------
    correlation
        Of the values.
    error
        Root mean square of the difference; of noise as a part of the teacher's own root mean square.
    """

    correlation: Estimate
    error: Estimate


@dataclass(frozen=True)
class Found:
    """AUC per slice of one kind of tampering, place not given.

    Attributes
    ----------
    kind
        Of tampering.
    slices
        Tampered ones.
    teacher, student
        With the maps of each.
    difference
        Student less teacher, on the same resamples.
    """

    kind: Kind
    slices: int
    teacher: Estimate
    student: Estimate
    difference: Estimate


@dataclass(frozen=True)
class StudentFigures:
    """What was measured of a student.

    Attributes
    ----------
    levels_hu
        That it gives in one pass.
    steps
        Of its training.
    time_ratio
        Processor time of the teacher's passes over that of the student's one.
    noise
        By level: predicted noise in crops of held-out patients.
    energy, whiteness
        Of windows of test patients, each tissue less its median in the slice.
    slices, patients
        That the windows are of.
    found
        On the development half of the CT-GAN slices.
    negatives
        Authentic slices and their patients that the AUC is against.
    """

    levels_hu: tuple[float, ...]
    steps: int
    time_ratio: float
    noise: tuple[Likeness, ...]
    energy: Likeness
    whiteness: Likeness
    slices: int
    patients: int
    found: tuple[Found, ...]
    negatives: tuple[int, int]
