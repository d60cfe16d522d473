import json

import numpy as np
import pytest

from tamperscan.bench.authentic_crops import AuthenticCrops, cache_crops
from tamperscan.errors import TrainingError

from .phantoms import chest_scan, write_bench_data, write_nifti


@pytest.fixture
def data(tmp_path):
    return write_bench_data(tmp_path)


def crops(data, **told):
    read = []
    place = cache_crops(
        data / "data" / "ct", data / "crops", "CT", split=data / "split.json", on_scan=read.append, **told
    )
    return AuthenticCrops.read(place, "CT"), read


def test_crops_are_of_the_scans_to_learn_from_in_hu(data):
    authentic, read = crops(data)
    assert sorted(read) == ["learn-1", "learn-2"]
    drawn = authentic.draw(np.random.default_rng(0), 8, 24)
    assert drawn.shape == (8, 24, 24)
    assert drawn.dtype == np.float32
    assert np.array_equal(drawn, np.rint(drawn))
    scans = [chest_scan(seed, slices).voxels for seed, slices in ((1, 2), (2, 1))]
    known = {
        one[row : row + 24, column].tobytes()
        for scan in scans
        for one in scan
        for row in range(105)
        for column in range(128)
    }
    turned = [np.rot90(drawn[0], turns)[:, ::step] for turns in range(4) for step in (1, -1)]
    assert any(np.ascontiguousarray(one[:, 0]).tobytes() in known for one in turned)


def test_any_side_can_be_drawn_and_the_same_again(data):
    authentic, _ = crops(data)
    for side in (16, 96):
        first, second = (authentic.draw(np.random.default_rng(5), 3, side) for _ in range(2))
        assert first.shape == (3, side, side)
        assert np.array_equal(first, second)


def test_the_cache_is_made_once(data):
    first, _ = crops(data)
    second, read = crops(data)
    assert read == []
    assert second.data == first.data


def test_other_scans_have_a_cache_and_a_name_of_their_own(data):
    first, _ = crops(data)
    write_nifti(data / "data" / "ct" / "learn-2.nii.gz", chest_scan(77).voxels)
    second, read = crops(data)
    assert len(read) == 2
    assert second.data != first.data


def test_mr_is_scaled_as_bench_units_are(tmp_path):
    rng = np.random.default_rng(0)
    voxels = np.where(np.indices((3, 64, 64))[1] > 20, rng.integers(200, 3000, (3, 64, 64)), 0)
    write_nifti(tmp_path / "mr" / "a.nii.gz", voxels, (5.0, 1.0, 1.0))
    (tmp_path / "split.json").write_text(json.dumps({"train": ["a*"]}))
    place = cache_crops(tmp_path / "mr", tmp_path / "crops", "MR", split=tmp_path / "split.json")
    drawn = AuthenticCrops.read(place, "MR").draw(rng, 16, 32)
    assert 900 < drawn.max() < 1100
    assert drawn.min() == 0


def test_nothing_to_learn_from_is_told(data):
    (data / "split.json").write_text(json.dumps({"train": ["nobody*"]}))
    with pytest.raises(TrainingError, match="no scan to train on"):
        crops(data)
    with pytest.raises(TrainingError, match="no complete cache"):
        AuthenticCrops.read(data / "crops" / "nothing", "CT")
