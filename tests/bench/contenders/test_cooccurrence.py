import numpy as np
import pytest

from tamperscan.bench.contenders.cooccurrence import BLOCK_PX, features, residual

from .small import noise


def test_the_residual_takes_parabolas_away():
    columns = np.arange(20, dtype=np.float32)
    parabola = np.stack([3 * columns**2 - columns + 4] * 2)
    assert np.allclose(residual(parabola), 0)


def test_the_residual_of_a_single_pixel_is_the_filter():
    image = np.zeros((1, 9), np.float32)
    image[0, 4] = 1
    assert residual(image)[0].tolist() == [0, -1, 3, -3, 1, 0]


@pytest.mark.parametrize("shape", [(64, 64), (33, 90), (9, 8)])
def test_one_window_a_block(shape):
    found = features(noise(shape), 100.0)
    assert found.shape == (-(-shape[0] // BLOCK_PX), -(-shape[1] // BLOCK_PX), 50)


def test_squares_of_each_histogram_add_up_to_one():
    squares = features(noise((64, 64)), 100.0) ** 2
    assert np.allclose(squares[..., :25].sum(axis=-1), 1, atol=1e-5)
    assert np.allclose(squares[..., 25:].sum(axis=-1), 1, atol=1e-5)


def test_without_noise_all_is_in_one_class():
    found = features(np.full((32, 32), 5.0, np.float32), 1.0)
    assert np.allclose(np.sort(found[2, 2])[-2:], 1)
    assert np.allclose(np.sort(found[2, 2])[:-2], 0)


def test_negatives_and_turned_images_count_alike():
    image = noise((40, 40))
    whole = features(image, 500.0).mean(axis=(0, 1))
    for other in (-image, image.T):
        assert np.allclose(features(other, 500.0).mean(axis=(0, 1)), whole, atol=0.01)


def test_smooth_noise_is_told_from_rough_noise():
    rough = noise((64, 64))
    smooth = (rough + np.roll(rough, 1, 0) + np.roll(rough, 1, 1) + np.roll(rough, (1, 1), (0, 1))) / 2
    assert np.abs(features(rough, 500.0)[4, 4] - features(smooth, 500.0)[4, 4]).max() > 0.1


def test_what_is_far_away_changes_nothing():
    image = noise((96, 96))
    other = image.copy()
    other[:24, :24] = 0
    first, second = features(image, 500.0), features(other, 500.0)
    assert np.allclose(first[6:], second[6:], atol=1e-6)
    assert not np.allclose(first[1, 1], second[1, 1])


def test_windows_lie_where_their_pixels_are():
    image = noise((160, 160))
    other = image.copy()
    other[64:96, 64:96] = 0  # blocks 8 to 11
    change = np.abs(features(image, 700.0) - features(other, 700.0)).sum(axis=2)
    for axis in (0, 1):
        assert np.average(np.arange(20), weights=change.sum(axis=axis)) == pytest.approx(9.5, abs=0.2)
