from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.poisoning import study_poisoning
from tamperscan.bench.poisoning_measuring import AUTHENTIC, CTGAN, StudySlice, without_head
from tamperscan.bench.poisoning_page import poisoning_page
from tamperscan.detect.acquisition import Acquisition
from tamperscan.detect.load import find_weights
from tamperscan.detect.measured import MeasuredScan
from tamperscan.detect.statistics import COVARIATES, WindowStatistics
from tamperscan.errors import BenchError


def acquisition():
    return Acquisition(**{each.name: 1.0 for each in fields(Acquisition)})


def windows_of(seed, raised, side=24):
    """Windows everywhere on a coarse grid, statistics independent of anatomy."""
    rng = np.random.default_rng(seed)
    energy, whiteness = rng.normal(0, 0.1, (3, side, side)), rng.normal(1, 0.1, (3, side, side))
    energy[:, 4:14, 4:14] += raised  # a place, as every slice is compared with its own median
    covariates = rng.normal(0, 1, (len(COVARIATES), side, side))
    inside = np.ones((side, side), bool)
    return WindowStatistics(*(each.astype(np.float32) for each in (energy, whiteness, covariates)), inside)


class Stored:
    """Measurements in memory in the place of those on the disk."""

    def __init__(self, number, raised):
        self.path = Path(f"{number}-{raised}")
        windows = windows_of(number, raised)
        self._scan = MeasuredScan(str(self.path), (windows,), (5.0, 1.2, 1.2), acquisition())

    def load(self):
        return self._scan


def found():
    for number in range(12):
        yield StudySlice(f"p{number}", False, AUTHENTIC, "", f"s{number}", Stored(number, 0.0))
        yield StudySlice(f"p{number}", False, "gan", "remove", f"s{number}", Stored(number, 2.0))
    for number in range(20, 24):
        yield StudySlice(f"p{number}", True, AUTHENTIC, "", f"s{number}", Stored(number, 0.0))
        yield StudySlice(f"c{number}", True, CTGAN, "remove", f"c{number}", Stored(100 + number, 2.0))


def test_what_is_learned_and_told():
    result = study_poisoning(list(found()), "0" * 64, draws=1)
    assert (result.patients, result.slices, result.held_out, result.targets) == (12, 12, 4, {"CT-GAN removal": 4})
    assert [(row.share, row.vetted) for row in result.rows[:3]] == [(0.0, False), (0.0, True), (0.01, False)]
    assert result.rows[0].auc["CT-GAN removal"].value == pytest.approx(1.0)
    assert result.rows[0].change["CT-GAN removal"].value == 0.0
    assert np.isfinite(result.rows[-1].alarms)
    page = poisoning_page(result, Provenance("tamperscan bench poisoning", ""))
    assert "## Poisoning" in page
    assert "| 10 % (1 slices) | yes | 1.00" in page


def test_too_few_slices():
    with pytest.raises(BenchError, match="Too few slices"):
        study_poisoning([], "0" * 64)


def test_weights_without_their_head():
    weights = without_head(find_weights("ct"))
    assert "self-forged.onnx" not in weights.card.files
    assert "network.onnx" in weights.card.files
