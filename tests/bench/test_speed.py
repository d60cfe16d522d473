import math
import sys

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.memory import Memory, write_series
from tamperscan.bench.pages import speed_page
from tamperscan.bench.speed import SpeedResult, Timing, phantom, some_slices, time_by_turns
from tamperscan.bench.tiles import score_tiles, slice_tiles
from tamperscan.detect.measure import LEAST_LUNG_CM2
from tamperscan.detect.regions import lung_mask
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.scan import read_scan

from .conftest import scan_of


def result(timings, **changes):
    facts = {
        "detector": "ours",
        "weights_sha256": "0" * 64,
        "source": "phantom",
        "slices": 2,
        "shape": (512, 512),
        "cores": 2,
        "threads": 2,
        "processor": "a processor",
        "versions": {"numpy": "2"},
        "timings": timings,
        "official_batch": 6,
        "memory": Memory(300, 900.0, 60.0),
        "missing": (),
    }
    return SpeedResult(**(facts | changes))


def timing(seconds):
    return Timing("a way", seconds, (seconds,))


def test_a_slice_is_cut_into_36_tiles():
    image = np.arange(512 * 512, dtype=np.float32).reshape(512, 512) / 200 - 600
    tiles = slice_tiles(image)
    assert tiles.shape == (36, 96, 96)
    assert tiles[7, 5, 4] == pytest.approx((image[101, 100] - 650) / 1350, abs=1e-6)
    assert (tiles[-1, -1] == tiles[-1, 31]).all()


def test_the_official_score_is_the_mean_square_of_what_is_taken_away():
    noise = np.full((2, 96, 96), 2.0, np.float32)
    scores = score_tiles(np.zeros((2, 96, 96), np.float32), lambda tiles: noise, noise_schedule("sigmoid", 1000))
    assert scores == pytest.approx([(2 * 0.01733) ** 2] * 2, rel=1e-3)


def test_the_phantom_has_lungs():
    scan = phantom(2)
    assert scan.shape == (2, 512, 512)
    for image in scan.voxels:
        assert lung_mask(image, scan.spacing_mm[1:]).sum() * 0.7**2 > LEAST_LUNG_CM2 * 100


def test_without_scans_there_is_a_phantom(tmp_path):
    scan = some_slices(tmp_path, 3)
    assert (scan.name, scan.shape) == ("phantom", (3, 512, 512))


def test_ways_are_run_by_turns_and_warmed_up():
    runs = []
    ways = {key: (key, lambda key=key: runs.append(key)) for key in ("a", "b")}
    told = []
    timings = time_by_turns(ways, 2, 3, lambda done, total: told.append((done, total)))
    assert runs == ["a", "b"] * 4
    assert len(timings["a"].repeats) == 3
    assert told[-1] == (8, 8)


def test_seconds_that_are_told_count():
    timings = time_by_turns({"a": ("a", lambda: 8.0)}, 2, 3, lambda done, total: None)
    assert timings["a"].seconds == 4.0
    assert timings["a"].slices_per_second == 0.25


def test_ratios():
    measured = result({"screening": timing(0.5), "network": timing(0.25), "pass": timing(0.1), "official": timing(5.0)})
    assert measured.ratio("screening") == 10
    assert math.isnan(measured.ratio("screening", "official_onnx"))
    page = speed_page(measured, Provenance("tamperscan bench speed", ""))
    assert "is 10.0 times as fast" in page
    assert "900 MB of memory" in page


def test_what_could_not_be_measured_is_told():
    page = speed_page(
        result({"screening": timing(0.5)}, memory=None, missing=("There is no torch.",)), Provenance("bench", "")
    )
    assert "Not measured. There is no torch." in page
    assert "times as fast" not in page


def test_without_torch_the_published_pipeline_is_left_out(monkeypatch):
    from tamperscan.bench import speed

    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "tamperscan.bench.official", raising=False)
    missing = []
    assert speed._official_ways(phantom(1), 1, missing) == ({}, None)
    assert "torch is not installed" in missing[0]


def test_a_written_series_is_read_as_one_scan(tmp_path):
    images = [np.full((64, 64), value, np.float32) for value in (-900.0, 40.0)]
    write_series(tmp_path / "study", scan_of(*images, slice_mm=2.5), 5)
    scan = read_scan(tmp_path / "study")
    assert scan.shape == (5, 64, 64)
    assert scan.spacing_mm == (2.5, 1.0, 1.0)
    assert [float(plane.max()) for plane in scan.voxels] == [-900, 40, -900, 40, -900]
