import numpy as np
import pytest

from tamperscan.forge.cube import (
    LARGEST_CORE,
    SIDE,
    blend_weight,
    core,
    core_radius,
    cut_cube,
    paste_change,
    resample_cube,
)
from tamperscan.forge.site import Place, cut_site
from tamperscan.scan.volume import Scan


def wave(shape, spacing):
    """A smooth field that is known at any place: one period in 20 mm along each axis."""
    axes = [np.arange(side) * step for side, step in zip(shape, spacing, strict=True)]
    along, down, across = np.meshgrid(*axes, indexing="ij")
    return field(along, down, across).astype(np.float32)


def field(along, down, across):
    return 100 * (np.sin(along / 20 * 2 * np.pi) + np.cos(down / 20 * 2 * np.pi) + np.sin(across / 20 * 2 * np.pi))


@pytest.fixture
def site():
    spacing = (2.0, 0.7, 0.9)
    scan = Scan(wave((40, 100, 90), spacing), spacing, "CT", "wave")
    return cut_site(scan, Place(18, 51, 44))


def test_a_cube_holds_the_scan_at_one_millimetre(site):
    cube = cut_cube(site)
    axes = [np.arange(SIDE) - 15.5 + middle for middle in (18 * 2.0, 51 * 0.7, 44 * 0.9)]
    assert np.allclose(cube, field(*np.meshgrid(*axes, indexing="ij")), atol=1.5)


def test_a_larger_region_is_cut_more_coarsely(site):
    larger = cut_site(site.scan, Place(18, 51, 44), region_mm=48.0)
    axes = [(np.arange(SIDE) - 15.5) * 1.5 + middle for middle in (18 * 2.0, 51 * 0.7, 44 * 0.9)]
    assert np.allclose(cut_cube(larger), field(*np.meshgrid(*axes, indexing="ij")), atol=1.5)


def test_no_change_leaves_every_voxel(site):
    assert np.array_equal(paste_change(site, np.zeros((SIDE, SIDE, SIDE), dtype=np.float32)), site.voxels)


def test_a_change_comes_back_where_it_was_cut(site):
    bump = 500 * blend_weight(6.0)
    added = paste_change(site, bump) - site.voxels
    distance = site.distance_mm()
    assert added[site.centre] == pytest.approx(500, abs=5)
    assert np.allclose(added[distance < 5], 500, atol=25)
    assert np.abs(added[distance > 10]).max() < 5


def test_nothing_lands_outside_the_cube(site):
    full = resample_cube(site, np.ones((SIDE, SIDE, SIDE), dtype=np.float32))
    assert not full[~site.alterable()].any()
    assert full[site.centre] == pytest.approx(1.0)


def test_a_single_slice_fills_the_cube_and_takes_the_change():
    spacing = (1.0, 0.7, 0.7)
    scan = Scan(wave((1, 120, 120), spacing), spacing, "CT", "plane")
    site = cut_site(scan, Place(0, 60, 60))
    cube = cut_cube(site)
    assert np.allclose(cube, cube[:1], atol=1e-3)
    assert paste_change(site, 500 * blend_weight(6.0))[0, 60 - site.start[1], 60 - site.start[2]] > 400


def test_the_core_is_a_ball_and_the_weight_fades_around_it():
    ball, weight = core(6.5), blend_weight(6.5)
    assert ball.sum() == pytest.approx(4 / 3 * np.pi * 6.5**3, rel=0.1)
    assert (weight[ball == 1] == 1).all()
    assert ((weight >= 0) & (weight <= 1)).all()


def test_the_weight_of_the_largest_core_ends_within_the_cube():
    faces = [np.take(blend_weight(LARGEST_CORE), (0, SIDE - 1), axis=axis) for axis in range(3)]
    assert max(face.max() for face in faces) < 0.08


def test_the_core_of_a_lesion_reaches_four_millimetres_beyond_it(site):
    assert core_radius(site) == pytest.approx(12 / 2 + 4)
