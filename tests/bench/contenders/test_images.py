import numpy as np
import pytest

from tamperscan.bench.contenders.images import cut_tiles, noise_of, pad_to, stitch_tiles, window_of

from .small import noise


@pytest.mark.parametrize("step", [8, 16])
@pytest.mark.parametrize("shape", [(16, 16), (33, 70), (5, 90)])
def test_tiles_are_put_together_as_they_were_cut(shape, step):
    image = noise(shape)
    tiles = cut_tiles(image, 16, step)
    assert tiles.shape[1:] == (16, 16)
    assert np.allclose(stitch_tiles(tiles, shape, step), image)


def test_tiles_without_overlap_are_as_few_as_can_be():
    assert len(cut_tiles(noise((512, 512)), 96, 96)) == 36
    assert len(cut_tiles(noise((96, 96)), 96, 96)) == 1


def test_overlapping_tiles_are_averaged():
    tiles = np.stack([np.full((4, 4), value, np.float32) for value in (1.0, 3.0)])
    assert stitch_tiles(tiles, (4, 6), 2)[0].tolist() == [1, 1, 2, 2, 3, 3]


def test_padding_repeats_the_edge():
    padded = pad_to(np.arange(6, dtype=np.float32).reshape(2, 3), 4)
    assert padded.shape == (4, 4)
    assert padded[-1].tolist() == [3, 4, 5, 5]


def test_padding_leaves_alone_what_fits():
    image = noise((8, 16))
    assert np.array_equal(pad_to(image, 8), image)


def test_noise_belongs_to_the_image():
    image = noise((8, 8))
    first, again, other = (noise_of(each).random(4) for each in (image, image.copy(), image + 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_noise_depends_on_the_shape():
    image = noise((4, 16))
    assert noise_of(image).random() != noise_of(image.reshape(8, 8)).random()


def test_windows_hold_lungs_and_the_bench_units_of_mr():
    assert (window_of("CT").low, window_of("MR").low, window_of("MR").high) == (-1050, 0, 1000)
