import numpy as np
import pytest
import torch

from tamperscan.bench.contenders.simplex import DECAY, OCTAVES, SimplexNoise


@pytest.fixture(scope="module")
def simplex():
    return SimplexNoise(plane_px=64)


def draw(simplex, shape, seed=0):
    return simplex.draw(np.random.default_rng(seed), shape)


@pytest.mark.parametrize("shape", [(20, 30), (3, 16, 16), (2, 1, 150, 70)])
def test_any_shape(simplex, shape):
    noise = draw(simplex, shape)
    assert (noise.shape, noise.dtype) == (shape, np.float32)


def test_the_generator_decides(simplex):
    assert np.array_equal(draw(simplex, (2, 32, 32)), draw(simplex, (2, 32, 32)))
    assert not np.array_equal(draw(simplex, (32, 32)), draw(simplex, (32, 32), seed=1))


def test_images_have_noise_of_their_own(simplex):
    first, second = draw(simplex, (2, 32, 32))
    assert not np.allclose(first, second)


def test_every_octave_is_half_as_large(simplex):
    draw(simplex, (8, 8))
    slopes = [np.abs(np.diff(plane)).mean() / np.abs(plane).mean() for plane in simplex.planes.numpy()]
    ratios = np.array(slopes[2:]) / np.array(slopes[1:-1])  # of the first the planes here hold one blob alone
    assert ((ratios > 1.2) & (ratios < 3.0)).all()


def test_octaves_are_weighed_by_their_decay(simplex):
    draw(simplex, (8, 8))
    expected = sum(DECAY ** (2 * octave) * float(plane.square().mean()) for octave, plane in enumerate(simplex.planes))
    found = np.mean([np.square(draw(simplex, (64, 64), seed)).mean() for seed in range(200)])
    assert found == pytest.approx(expected, rel=0.2)


def test_noise_has_no_sign(simplex):
    means = [draw(simplex, (16, 16), seed).mean() for seed in range(200)]
    assert abs(np.mean(means)) < 0.1


def test_planes_are_kept_like_weights(simplex):
    expected = draw(simplex, (32, 32))
    other = SimplexNoise(plane_px=64)
    other.load_state_dict(simplex.state_dict())
    assert np.array_equal(draw(other, (32, 32)), expected)


def test_planes_are_computed_once(simplex):
    draw(simplex, (8, 8))
    planes = simplex.planes.clone()
    draw(simplex, (8, 8), seed=1)
    assert torch.equal(simplex.planes, planes)
    assert planes.shape == (OCTAVES, 64, 64)


def test_a_plane_has_no_seam_where_it_is_turned_back(simplex):
    wide = draw(simplex, (64, 400))
    steps = np.abs(np.diff(wide, axis=1)).mean(axis=0)
    assert steps.max() < 3 * steps.mean()
