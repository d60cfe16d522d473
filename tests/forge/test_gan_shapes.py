import numpy as np
import pytest

from tamperscan.forge.cube import SIDE
from tamperscan.forge.gan_shapes import blurred_shape, cube_grid, draw_shape


@pytest.mark.parametrize("diameter", [6.0, 10.0, 16.0])
def test_drawn_shapes_have_the_wanted_size_and_differ(diameter):
    shapes = [draw_shape(diameter, np.random.default_rng(seed)) for seed in range(6)]
    diameters = [2 * (3 * shape.sum() / (4 * np.pi)) ** (1 / 3) for shape in shapes]
    assert np.mean(diameters) == pytest.approx(diameter, rel=0.12)
    assert not np.allclose(shapes[0], shapes[1])
    assert max(shape.max() for shape in shapes) <= 1


def test_a_shape_lies_in_the_middle_and_within_the_core():
    shape = draw_shape(12.0, np.random.default_rng(0))
    distance = np.linalg.norm(cube_grid(SIDE), axis=0)
    assert shape[distance < 2].min() > 0.8
    assert shape[distance > 12 / 2 + 6].max() < 0.2


def test_blurring_keeps_the_volume():
    outline = np.zeros((SIDE, SIDE, SIDE), dtype=np.float32)
    outline[12:20, 12:20, 12:20] = 1
    assert blurred_shape(outline).sum() == pytest.approx(outline.sum(), rel=1e-3)


def test_the_grid_counts_from_the_middle():
    assert cube_grid(4)[0, :, 0, 0].tolist() == [-1.5, -0.5, 0.5, 1.5]
