"""Crops a second: what is counted, and how it is told."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tamperscan.bench.document import Provenance  # noqa: E402
from tamperscan.bench.training_page import training_page  # noqa: E402
from tamperscan.bench.training_speed import Pace, TrainingSpeed, _Step, matrix_flops, measure_training  # noqa: E402
from tamperscan.diffusion.presets import preset  # noqa: E402
from tamperscan.errors import BenchError  # noqa: E402

PACES = {"files": 30.0, "cache": 20_000.0, "ahead": 40_000.0, "forged": 300.0, "step": 100.0, "training": 95.0}
RESULT = TrainingSpeed(
    paces={key: Pace(key, value, (value, value)) for key, value in PACES.items()},
    scans=3,
    slices=184,
    megabytes=96.0,
    build_seconds=40.0,
    flops_per_crop=1.3e9,
    matrix_flops={"float32": 130e9, "bfloat16": 1300e9},
    number_format="bfloat16",
    loaders=1,
    cores=2,
    processor="a processor",
)


def test_limits_follow_from_the_operations_of_a_crop():
    assert RESULT.limit == pytest.approx(1000)
    assert RESULT.needed == pytest.approx(0.4 * 989e12 / 1.3e9)
    assert dataclasses.replace(RESULT, number_format="float32").limit == pytest.approx(100)


def test_page_tells_the_ratios():
    page = training_page(RESULT, Provenance("tamperscan bench training", "abc"))
    assert "| files | 30 | 30 to 30 | 0.03 |" in page
    assert "| matrix limit of a core in float32 | 100 |" in page
    assert "667 times as many crops" in page
    assert "costs the step 5.0 %" in " ".join(page.split())
    assert "16 cores like these" in " ".join(page.split())


def test_operations_of_a_step_are_counted():
    settings = dataclasses.replace(preset("low-noise-ct"), widths=(8, 16), batch=2, crop_px=32)
    larger = dataclasses.replace(settings, crop_px=64)
    one, other = (_Step(each).flops_per_crop() for each in (settings, larger))
    assert other == pytest.approx(4 * one, rel=0.05)


def test_matrix_limit_is_a_number():
    assert np.isfinite(matrix_flops(torch.float32, seconds=0.01))


def test_no_series(tmp_path):
    with pytest.raises(BenchError, match="holds no DICOM series"):
        measure_training(tmp_path, None, tmp_path, patterns=["series/x_*"])
