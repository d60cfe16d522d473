import numpy as np
import pytest

from tamperscan.errors import TrainingError
from tamperscan.forge.diffusion_crops import TripleSource, build_cache
from tamperscan.scan.read import read_scan
from tamperscan.scan.volume import Scan
from tamperscan.scan.windows import IntensityWindow

from .lung_phantom import NODULE, write_phantom

WIDE = IntensityWindow(-3000.0, 3000.0)


def counted(slices=6):
    """Every voxel tells its slice, within a body of 0 HU and more."""
    voxels = np.broadcast_to(np.arange(slices, dtype=np.float32)[:, None, None] * 100, (slices, 40, 40)).copy()
    return Scan(voxels, (2.0, 0.8, 0.8), "CT", f"counted{slices}", sha256=str(slices))


def source(scans, folder, crop_px=16):
    return TripleSource(folder, build_cache(scans, folder, of="these"), crop_px=crop_px, window=WIDE)


def test_crops_are_neighbouring_slices(tmp_path):
    triples = source([counted()], tmp_path).draw(np.random.default_rng(0), 40)
    assert triples.slices.shape == (40, 3, 16, 16)
    numbers = np.rint(WIDE.from_model(triples.slices[:, :, 0, 0]) / 100).astype(int)
    assert (np.abs(np.diff(numbers, axis=1)) <= 1).all()
    assert set(numbers[:, 1]) == set(range(6))


def test_a_slice_that_stands_in_for_another_has_its_number(tmp_path):
    triples = source([counted()], tmp_path).draw(np.random.default_rng(0), 60)
    same_slice = triples.slices[:, 1:2, 0, 0] == triples.slices[:, :, 0, 0]
    assert np.array_equal(same_slice, triples.which[:, 1:2] == triples.which)
    assert (triples.which[:, 1] == 1).all()
    assert {tuple(row) for row in triples.which.tolist()} == {(0, 1, 2), (1, 1, 2), (0, 1, 1)}


def test_a_single_slice_stands_in_for_both_neighbours(tmp_path):
    triples = source([counted(1)], tmp_path).draw(np.random.default_rng(0), 4)
    assert (triples.which == 1).all()


def test_crops_come_with_the_distances_of_their_scan(tmp_path):
    triples = source([counted()], tmp_path).draw(np.random.default_rng(0), 4)
    assert triples.spacing_mm == pytest.approx(np.tile([2.0, 0.8], (4, 1)))


def test_same_generator_same_crops(tmp_path):
    crops = source([counted()], tmp_path)
    one, same = (crops.draw(np.random.default_rng(3), 5).slices for _ in range(2))
    assert np.array_equal(one, same)


def test_marked_nodules_are_drawn_more_often_than_chance(tmp_path):
    write_phantom(tmp_path / "scan")
    scan = read_scan(tmp_path / "scan" / "phantom0.nii")
    build_cache([scan], tmp_path / "cache", of="these")
    with np.load(next((tmp_path / "cache").glob("*.npz"))) as places:
        assert np.abs(np.median(places["lesion"], axis=0) - NODULE).max() <= 2
        assert {kind: len(places[kind]) > 0 for kind in places.files} == dict.fromkeys(places.files, True)


def test_a_cache_is_made_once(tmp_path):
    first = build_cache([counted()], tmp_path, of="these")
    assert build_cache(iter(()), tmp_path, of="these")[0].name == first[0].name


def test_a_cache_of_other_scans_is_refused(tmp_path):
    build_cache([counted()], tmp_path, of="these")
    with pytest.raises(TrainingError, match="made of other scans"):
        build_cache([counted()], tmp_path, of="those")


def test_no_scan_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="no scan to train on"):
        build_cache([], tmp_path, of="these")


def test_a_scan_smaller_than_a_crop_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="counted6: its slices are smaller than the crops of 64"):
        source([counted()], tmp_path, crop_px=64)
