import numpy as np
import pytest

from tamperscan.detect.crops import CropSource, build_cache, read_cache
from tamperscan.errors import TrainingError
from tamperscan.scan import IntensityWindow, Scan

WINDOW = IntensityWindow(-1050, 450)
LUNG_HU, BODY_HU, AIR_HU = -850, 40, -1000


def chest(slices=2, side=128):
    """A body with two lungs, [slice, row, column] in HU, 2 mm a pixel."""
    row, column = np.indices((side, side)) - side / 2
    image = np.full((side, side), AIR_HU, np.float32)
    image[(row / 50) ** 2 + (column / 60) ** 2 < 1] = BODY_HU
    for middle in (-25, 25):
        image[(row / 32) ** 2 + ((column - middle) / 18) ** 2 < 1] = LUNG_HU
    return np.repeat(image[None], slices, axis=0)


def scan_of(voxels, name="chest", modality="CT"):
    return Scan(np.asarray(voxels, np.float32), (2.0, 2.0, 2.0), modality, name, sha256=name)


def source(folder, *scans, crop_px=32, window=WINDOW, shift_hu=0.0):
    return CropSource(folder, build_cache(scans, folder), crop_px=crop_px, window=window, shift_hu=shift_hu)


def draw(source, count=64, seed=0):
    return source.draw(np.random.default_rng(seed), count)


def test_cache_is_read_as_it_was_written(tmp_path):
    written = build_cache([scan_of(chest(), "a"), scan_of(chest(3), "b")], tmp_path / "cache")
    assert read_cache(tmp_path / "cache") == written
    assert [(entry.name, entry.slices) for entry in written] == [("a", 2), ("b", 3)]


def test_progress_names_each_scan(tmp_path):
    names = []
    build_cache([scan_of(chest(), "a"), scan_of(chest(), "b")], tmp_path, names.append)
    assert names == ["a", "b"]


def test_no_cache(tmp_path):
    assert read_cache(tmp_path) is None


def test_cache_that_was_cut_off_is_none(tmp_path):
    def scans():
        yield scan_of(chest())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(scans(), tmp_path)
    assert read_cache(tmp_path) is None


def test_no_scans(tmp_path):
    with pytest.raises(TrainingError, match="no scan to train on"):
        build_cache([], tmp_path)


def test_values_beyond_int16_are_clipped(tmp_path):
    (entry,) = build_cache([scan_of(chest() * 100)], tmp_path)
    assert np.load(tmp_path / entry.file).min() == -32768


def test_crops_are_in_model_units(tmp_path):
    crops = draw(source(tmp_path, scan_of(chest())))
    assert (crops.shape, crops.dtype) == ((64, 1, 32, 32), np.float32)
    expected = WINDOW.to_model([LUNG_HU, BODY_HU, AIR_HU])
    np.testing.assert_allclose(np.unique(crops), np.sort(expected), atol=1e-6)


def test_most_crops_are_centred_in_the_lung(tmp_path):
    crops = draw(source(tmp_path, scan_of(chest())), 400)
    lung = np.isclose(crops[:, 0, 15:17, 15:17], WINDOW.to_model(LUNG_HU), atol=1e-6).any(axis=(1, 2))
    assert 0.6 < lung.mean() < 0.95


def test_same_generator_same_crops(tmp_path):
    crops = source(tmp_path, scan_of(chest()), shift_hu=20.0)
    np.testing.assert_array_equal(draw(crops, seed=1), draw(crops, seed=1))
    assert not np.array_equal(draw(crops, seed=1), draw(crops, seed=2))


def test_shift_moves_the_whole_crop(tmp_path):
    crops = draw(source(tmp_path, scan_of(np.zeros((1, 64, 64))), shift_hu=20.0))
    offset = WINDOW.from_model(crops)
    assert (np.ptp(offset, axis=(1, 2, 3)) < 1e-3).all()
    assert -20 <= offset.min() < offset.max() <= 20
    assert np.ptp(offset) > 20


def test_noise_is_not_resampled(tmp_path):
    voxels = np.random.default_rng(0).integers(-300, 300, (1, 64, 64))
    crops = WINDOW.from_model(draw(source(tmp_path, scan_of(voxels)), 8))
    assert np.isin(np.rint(crops), voxels).all()
    np.testing.assert_allclose(crops, np.rint(crops), atol=1e-2)


def test_small_image_is_padded(tmp_path):
    assert draw(source(tmp_path, scan_of(chest(side=128)[:, 40:60]), crop_px=48)).shape == (64, 1, 48, 48)


def test_mr_is_scaled_by_its_own_range(tmp_path):
    voxels = np.random.default_rng(0).uniform(0, 3000, (2, 64, 64))
    crops = draw(source(tmp_path, scan_of(voxels, modality="MR"), window=None, shift_hu=20.0))
    assert crops.min() == pytest.approx(-1, abs=0.01)
    assert crops.max() == 1


def test_long_series_do_not_drown_the_others(tmp_path):
    quiet, loud = scan_of(np.zeros((1, 64, 64)), "one"), scan_of(np.full((100, 64, 64), 200), "many")
    crops = WINDOW.from_model(draw(source(tmp_path, quiet, loud), 600))
    assert (crops[:, 0, 0, 0] < 100).mean() == pytest.approx(1 / 11, abs=0.04)


def test_cache_of_other_scans_is_refused(tmp_path):
    build_cache([scan_of(chest())], tmp_path, of="these")
    assert read_cache(tmp_path, of="these")
    with pytest.raises(TrainingError, match="made of other scans"):
        read_cache(tmp_path, of="others")


def test_published_crops_are_not_turned(tmp_path):
    volume = np.arange(64 * 64, dtype=np.float32).reshape(1, 64, 64) / 10 - 300
    cached = build_cache([scan_of(volume)], tmp_path)
    crops = CropSource(tmp_path, cached, crop_px=16, window=WINDOW, turns="none", shift_hu=0.0)
    drawn = crops.draw(np.random.default_rng(0), 32)[:, 0]
    assert (np.diff(drawn, axis=2) >= 0).all()
    assert (np.diff(drawn, axis=1) >= 0).all()
