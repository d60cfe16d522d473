from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.bench.document import Provenance
from tamperscan.bench.metrics import Estimate
from tamperscan.bench.mr import ATTACKS, MrFigures, head_scores, measure_mr, typicality_score, variance_score
from tamperscan.bench.mr_page import MrHeads, MrResult, mr_heads_page, mr_page
from tamperscan.bench.mr_run import run_mr, run_mr_heads
from tamperscan.data import weights_path
from tamperscan.detect.blocks import block_mean
from tamperscan.detect.heads import TYPICALITY_FILE, Head
from tamperscan.detect.statistics import grid_step
from tamperscan.detect.typicality import Typicality
from tamperscan.diffusion.weights import open_weights
from tamperscan.errors import BenchError
from tamperscan.scan.volume import Scan

SPACING = (3.0, 1.5, 1.5)


@pytest.fixture(scope="module")
def scan():
    """A body of even tissue with a few bright structures in noise, [slice, row, column]."""
    rng = np.random.default_rng(0)
    shape = (24, 96, 96)
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), (1, 3, 3))
    down, right = np.indices(shape[1:]) / 48 - 1
    signal = np.where(np.hypot(down, right) < 0.85, 120 + 200 * (texture > 2.5 * texture.std()), 0)
    noise = rng.normal(0, 12, shape) + 1j * rng.normal(0, 12, shape)
    return Scan(np.rint(np.abs(signal + noise)).astype(np.float32), SPACING, "MR", "made_series", sha256="made")


def test_variance_is_measured_in_the_body_only(scan):
    suspicion = variance_score()(scan, 10)
    assert np.isnan(suspicion[0, 0])
    assert np.isfinite(suspicion[suspicion.shape[0] // 2, suspicion.shape[1] // 2])


def test_score_that_knows_the_authentic_scan_finds_all(scan):
    def difference(forged: Scan, index: int) -> np.ndarray:
        altered = np.abs(forged.voxels[index] - scan.voxels[index])
        return ndimage.gaussian_filter(block_mean(altered, grid_step(SPACING[1:])), 0.5)

    figures = measure_mr([scan], {"difference": difference}, 2)
    assert [(each.method, each.action) for each in figures] == list(ATTACKS)
    assert sum(each.forgeries for each in figures) >= 4
    for each in figures:
        if each.forgeries:
            assert each.per_slice.value == 1.0
            assert each.within.value > 0.9
            assert each.localised.value == 1.0


def test_scan_in_which_nothing_is_measured_has_no_figures(scan):
    figures = measure_mr([replace(scan, name="other")], {"blind": lambda scan, index: None}, 1)
    assert all(each.forgeries == 0 and math.isnan(each.per_slice.value) for each in figures)


def test_page_tells_what_it_stands_on():
    value = Estimate(0.8, 0.7, 0.9)
    figures = (MrFigures("ours", "smooth", "remove", 7, value, value, value),)
    result = MrResult("UCSF-BR-06", ("one", "two"), ("STS_001",), 7, {"mr-without": "ab" * 32}, figures)
    page = mr_page(result, Provenance("tamperscan bench mr", ""))
    assert "They are of one patient" in page
    assert "| taken out, smooth | ours | 7 | 0.80 [0.70, 0.90] |" in page


def test_page_by_head_tells_each_patient_and_what_was_seen():
    value = Estimate(0.8, 0.7, 0.9)
    figures = (MrFigures("combined", "nodule", "inject", 7, value, value, value),)
    result = MrHeads(("tamperscan-mr", "ab" * 32), 7, {"STS_001": (("one", "two"), figures)})
    page = mr_heads_page(result, Provenance("tamperscan bench mr --heads", ""))
    assert "the noise predictor has seen all of them" in " ".join(page.split())
    assert "### STS_001" in page
    assert "| put in, nodule | combined | 7 | 0.80 [0.70, 0.90] |" in page


def test_heads_share_a_measurement(scan):
    weights = open_weights(weights_path("mr"))
    typicality = Typicality.from_dict(json.loads((weights.folder / TYPICALITY_FILE).read_text()))
    heads = {name: Head("typicality", typicality) for name in ("one", "other")}
    scores = head_scores(weights, heads, threads=1)
    one, other = (score(scan, 10) for score in scores.values())
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, typicality_score(weights, typicality, threads=1)(scan, 10))
    assert not np.array_equal(one, scores["one"](scan, 11), equal_nan=True)


def test_missing_scans_are_told(tmp_path):
    with pytest.raises(BenchError, match="is not there"):
        run_mr(tmp_path, tmp_path, "UCSF-BR-06", 1)
    (tmp_path / "mr" / "series").mkdir(parents=True)
    with pytest.raises(BenchError, match="needs series of UCSF-BR-06"):
        run_mr(tmp_path, tmp_path, "UCSF-BR-06", 1)


def test_detector_with_one_head_has_none_to_compare(tmp_path):
    with pytest.raises(BenchError, match="one head only"):
        run_mr_heads(tmp_path, weights_path("mr"), 1)
