from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.detect.regions import lung_mask
from tamperscan.forge.cube import SIDE
from tamperscan.forge.gan_nodules import cut_nodule, nodules_of, set_in, view_nodule
from tamperscan.forge.site import Place

from .lung_phantom import NODULE, NODULE_MM, SPACING, phantom_scan, write_phantom

PLACE = Place(*NODULE, NODULE_MM)


@pytest.fixture(scope="module")
def chest():
    scan = phantom_scan()
    return scan, np.stack([lung_mask(image, SPACING[1:]) for image in scan.voxels])


@pytest.fixture(scope="module")
def nodule(chest):
    found = cut_nodule(*chest, PLACE)
    assert found is not None
    return found


def lung_cube(hu=-860.0):
    return (hu + 10 * np.random.default_rng(0).standard_normal((SIDE, SIDE, SIDE))).astype(np.float32)


def test_a_nodule_stands_alone_and_is_found(chest):
    marked, alike = nodules_of(*chest)
    assert marked == []
    assert [np.abs(np.subtract(place.index, NODULE)).max() <= 1 for place in alike] == [True]
    assert alike[0].diameter_mm == pytest.approx(NODULE_MM, rel=0.3)


def test_a_marked_nodule_is_not_listed_again(chest, tmp_path):
    write_phantom(tmp_path / "scan")
    marked, alike = nodules_of(replace(chest[0], sources=(str(tmp_path / "scan" / "phantom0.nii"),)), chest[1])
    assert [place.index for place in marked] == [NODULE]
    assert alike == []


def test_thick_slices_are_not_searched(chest):
    scan, lung = chest
    assert nodules_of(replace(scan, spacing_mm=(5.0, 1.8, 1.8)), lung) == ([], [])


def test_a_nodule_is_cut_to_twenty_voxels_across(nodule):
    across = np.ptp(np.argwhere(nodule.outline), axis=0) + 1
    assert np.abs(across - 20).max() <= 5
    assert nodule.voxels[nodule.outline > 0].mean() == pytest.approx(0, abs=80)


def test_where_nothing_is_dense_there_is_no_nodule(chest):
    scan, lung = chest
    empty = replace(scan, voxels=np.full(scan.shape, -860, dtype=np.float32))
    assert cut_nodule(empty, lung, PLACE) is None
    assert cut_nodule(scan, lung, replace(PLACE, diameter_mm=60.0)) is None


@pytest.mark.parametrize("diameter", [6.0, 10.0, 16.0])
def test_a_nodule_set_into_lung_has_the_wanted_size(nodule, diameter):
    cube, _ = set_in(lung_cube(), nodule, diameter, np.random.default_rng(3))
    volume = (cube > -450).sum()
    assert 2 * (3 * volume / (4 * np.pi)) ** (1 / 3) == pytest.approx(diameter, rel=0.35)


def test_lung_away_from_a_set_nodule_stays(nodule):
    host = lung_cube()
    cube, shape = set_in(host, nodule, 8.0, np.random.default_rng(3))
    far = ndimage.distance_transform_edt(cube < -450) > 8
    assert np.allclose(cube[far], host[far], atol=0.5)
    assert (cube >= host - 1e-3).all()
    assert shape[cube > -300].mean() > 3 * shape.mean()


def test_a_view_shows_the_nodule_where_it_was_shifted(chest, nodule):
    scan, _ = chest
    shift = np.array([0.0, 5.0, -4.0], dtype=np.float32)
    cube, shape = view_nodule(scan, PLACE, nodule, NODULE_MM, shift)
    middle = ndimage.center_of_mass(shape)
    assert np.abs(np.subtract(middle, shift + (SIDE - 1) / 2)).max() < 1.0
    assert cube[tuple(round(at) for at in middle)] > -200
