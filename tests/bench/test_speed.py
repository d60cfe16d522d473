import math
import sys

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.machine_limits import MachineLimits
from tamperscan.bench.memory import CommandRun, write_series
from tamperscan.bench.operations import Operations
from tamperscan.bench.speed import Network, SpeedResult
from tamperscan.bench.speed_page import speed_page
from tamperscan.bench.speed_series import long_series, phantom
from tamperscan.bench.tiles import score_tiles, slice_tiles
from tamperscan.bench.timing import Taken, Timing, Way, time_by_turns
from tamperscan.detect.measure import LEAST_LUNG_CM2
from tamperscan.detect.regions import lung_mask
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.scan import read_scan

from .conftest import scan_of


def result(timings, **changes):
    facts = {
        "detector": "ours",
        "weights_sha256": "0" * 64,
        "runtime": "a runtime",
        "source": "phantom",
        "slices": 200,
        "shape": (512, 512),
        "cores": 2,
        "threads": 2,
        "processor": "a processor",
        "versions": {"numpy": "2"},
        "load": (0.5, 2.0),
        "timings": timings,
        "official_batch": 6,
        "official_slices": 5,
        "stages": {"read": Taken(4.0, 2.5), "regions": Taken(1.0)},
        "network": Network(100_000.0, 2, Operations(50e3, 0.0, 0.0), Operations(100e3, 0.0, 0.0), 0.03),
        "limits": MachineLimits(1000.0, 160.0, 20.0),
        "command": CommandRun(200, (20.0, 25.0, 21.0), (40.0, 41.0, 42.0), 900.0, (0.1, 0.2, 0.3)),
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


def test_without_scans_a_phantom_is_repeated_forth_and_back(tmp_path):
    scan = long_series(tmp_path, 11)
    assert (scan.name, scan.shape) == ("phantom", (11, 512, 512))
    assert np.array_equal(scan.voxels[8], scan.voxels[7])
    assert np.array_equal(scan.voxels[10], scan.voxels[5])


def test_ways_are_run_by_turns_and_warmed_up():
    runs, told = [], []
    ways = {key: Way(key, 2, lambda key=key: runs.append(key)) for key in ("a", "b")}
    timings = time_by_turns(ways, 3, lambda: told.append(1))
    assert runs == ["a", "b"] * 4
    assert len(timings["a"].repeats) == 3
    assert len(told) == 8


def test_ratios():
    measured = result({"screening": timing(0.05), "official": timing(5.0)})
    assert measured.ratio("screening") == 100
    assert math.isnan(measured.ratio("screening", "official_onnx"))
    assert measured.network.gflop == pytest.approx(20.0)
    assert measured.network.times_limit(1000.0) == pytest.approx(1.5)


def test_the_page_tells_stages_ratio_limit_and_load():
    page = speed_page(
        result({"screening": timing(0.05), "official": timing(5.0)}), Provenance("tamperscan bench speed", "")
    )
    assert "| read | 20.0 | 2.5 |" in page
    assert "does 100.0 times as many slices a second" in page
    assert "1.50 times what matrix products" in page
    assert "| 21.0 [20.0, 25.0] | 9.5 | 900 |" in page
    assert "Load average before and after: 0.5 and 2.0" in page


def test_what_could_not_be_measured_is_told():
    nothing = {"command": None, "limits": None, "network": None}
    page = speed_page(
        result({"screening": timing(0.5)}, missing=("There is no torch.",), **nothing), Provenance("bench", "")
    )
    assert "Not measured. There is no torch." in page
    assert "times as many" not in page


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
