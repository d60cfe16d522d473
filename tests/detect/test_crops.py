import pickle

import numpy as np
import pytest

from tamperscan.detect.crops import CropSource, build_cache, read_cache
from tamperscan.errors import TrainingError
from tamperscan.scan import IntensityWindow, PlannedScan, Scan
from tamperscan.scan.places import Place

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


def counted(slices=5):
    """Every pixel says where it is."""
    z, row, column = np.indices((slices, 64, 64))
    return scan_of(np.rint((row * 64 + column + z * 7) / 4 - 600), "counted")


def test_crops_of_a_seed_stay_what_they_were(tmp_path):
    """Weights name the seed that they were trained with: it has to draw the same crops in every version."""
    crops = WINDOW.from_model(draw(source(tmp_path, counted(), crop_px=16, shift_hu=20.0), 6))[:, 0]
    np.testing.assert_allclose(crops[:, 0, 0], [-113.36, 431.18, 400.11, 61.53, 9.13, -178.65], atol=0.01)
    np.testing.assert_allclose(crops[:, 5, 9], [-31.36, 349.18, 254.11, 143.53, 91.13, -261.65], atol=0.01)


def test_cache_that_was_cut_off_is_not_decoded_again(tmp_path):
    decoded = []

    def planned(name, voxels=None):
        def read():
            decoded.append(name)
            return None if voxels is None else scan_of(voxels, name)

        return PlannedScan(name, (Place(str(tmp_path / f"{name}.dcm")),), read)

    with pytest.raises(TrainingError):
        build_cache([planned("broken")], tmp_path / "run")
    first = build_cache([planned("a", chest()), planned("broken")], tmp_path / "run", arrays=tmp_path / "shared")
    assert [entry.name for entry in first] == ["a"]
    decoded.clear()
    again = build_cache([planned("a"), planned("b", chest(3))], tmp_path / "other", arrays=tmp_path / "shared")
    assert decoded == ["b"]
    assert again[0] == first[0]
    assert len(draw(CropSource(tmp_path / "other", again, crop_px=16, window=WINDOW))) == 64
    (tmp_path / "a.dcm").write_bytes(b"changed")
    build_cache([planned("a", chest())], tmp_path / "third", arrays=tmp_path / "shared")
    assert decoded == ["b", "a"]


def test_a_process_that_draws_maps_the_arrays_itself(tmp_path):
    crops = source(tmp_path, counted(40))
    sent = pickle.dumps(crops)
    assert len(sent) < 2_000
    received = pickle.loads(sent)  # noqa: S301
    np.testing.assert_array_equal(draw(received), draw(crops))


def test_neighbours_are_the_same_square_of_the_slices_beside(tmp_path):
    z = np.arange(5)[:, None, None]
    scan = scan_of(np.random.default_rng(0).integers(-300, 0, (64, 64)) + z * 50, "steps")
    crops = CropSource(tmp_path, build_cache([scan], tmp_path), crop_px=16, window=WINDOW, neighbours=1)
    drawn = WINDOW.from_model(draw(crops, 40))
    assert drawn.shape == (40, 3, 16, 16)
    np.testing.assert_allclose(np.diff(drawn, axis=1), 50, atol=0.01)


def test_slices_without_both_neighbours_are_not_drawn(tmp_path):
    scan = scan_of(np.arange(5)[:, None, None] * np.full((64, 64), 50.0))
    cached = build_cache([scan, scan_of(np.full((2, 64, 64), 400.0), "pair")], tmp_path)
    crops = CropSource(tmp_path, cached, crop_px=16, window=WINDOW, neighbours=1, shift_hu=0.0)
    middles = np.rint(WINDOW.from_model(draw(crops, 60)[:, 1, 0, 0]))
    assert set(middles) == {50, 100, 150}


def test_no_slice_has_neighbours(tmp_path):
    cached = build_cache([scan_of(chest(2))], tmp_path)
    with pytest.raises(TrainingError, match="no scan has 3 slices in a row"):
        CropSource(tmp_path, cached, crop_px=16, window=WINDOW, neighbours=1)


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


def mr_of(scale=1.0):
    """A bright square of tissue in air with noise."""
    rng = np.random.default_rng(0)
    voxels = np.abs(rng.normal(0, 20, (2, 128, 128)) + 1j * rng.normal(0, 20, (2, 128, 128)))
    voxels[:, 40:100, 40:100] += 800.0
    return scan_of(np.rint(voxels) * scale, "mr", "MR")


def test_mr_crops_are_centred_in_the_body(tmp_path):
    crops = draw(source(tmp_path, mr_of(), crop_px=16, window=None))
    # The border reaches out a little: the signal is averaged over 2 mm, here a pixel.
    assert np.mean(crops[:, 0, 8, 8] > 0) > 0.85


def test_mr_of_small_numbers_keeps_its_levels(tmp_path):
    whole, small = (
        draw(source(tmp_path / name, mr_of(scale), window=None)) for name, scale in (("a", 1.0), ("b", 1 / 900))
    )
    assert np.allclose(whole, small, atol=1e-3)


def test_gain_makes_mr_crops_brighter_and_darker(tmp_path):
    cached = build_cache([mr_of()], tmp_path)
    plain = draw(CropSource(tmp_path, cached, crop_px=16, window=None))
    gained = draw(CropSource(tmp_path, cached, crop_px=16, window=None, gain=1.4))
    inside, brightened = (crops[:, 0, 8, 8][crops[:, 0, 8, 8] > 0] for crops in (plain, gained))
    assert inside.min() > 0.8
    assert brightened.min() < 0.5
    assert (brightened == 1.0).any()


def test_gain_leaves_ct_alone(tmp_path):
    cached = build_cache([scan_of(chest())], tmp_path)
    plain, gained = (draw(CropSource(tmp_path, cached, crop_px=16, window=WINDOW, gain=gain)) for gain in (1.0, 1.4))
    assert np.array_equal(plain, gained)
