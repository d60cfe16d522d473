import numpy as np
import pytest

from tamperscan.detect.blocks import block_mean


@pytest.mark.parametrize(("shape", "step"), [((12, 8), 4), ((13, 11), 3), ((5, 5), 1), ((7, 9), 5)])
def test_blocks_are_averaged_and_the_rest_left_out(shape, step):
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    rows, columns = shape[0] // step, shape[1] // step
    wanted = image[: rows * step, : columns * step].reshape(rows, step, columns, step).mean(axis=(1, 3))
    assert block_mean(image, step) == pytest.approx(wanted, abs=1e-6)


def test_image_smaller_than_a_block_gives_nothing():
    assert block_mean(np.ones((3, 2), np.float32), 4).shape == (0, 0)


def test_image_is_left_as_it_was():
    image = np.ones((8, 8), np.float32)
    block_mean(image, 2)
    assert (image == 1).all()
