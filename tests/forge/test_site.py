import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Place, check_place, cut_site

from .toy import small_scan


def test_the_place_is_in_the_middle_of_its_surroundings():
    scan = small_scan((21, 64, 64), (2.0, 1.0, 1.0))
    site = cut_site(scan, Place(10, 30, 33, 6.0), region_mm=8.0, margin_mm=4.0)
    assert site.voxels.shape == (9, 17, 17)
    assert site.centre == (4, 8, 8)
    assert np.array_equal(site.voxels, scan.voxels[site.box])
    assert site.voxels[site.centre] == scan.voxels[10, 30, 33]


def test_distances_are_in_millimetres():
    site = cut_site(small_scan((21, 64, 64), (2.0, 1.0, 0.5)), Place(10, 30, 33, 6.0), region_mm=8.0, margin_mm=4.0)
    distance = site.distance_mm()
    along, down, across = site.centre
    assert distance[site.centre] == 0
    assert distance[along + 1, down, across] == pytest.approx(2.0)
    assert distance[along, down + 3, across + 8] == pytest.approx(5.0)


def test_the_cube_has_the_side_that_was_asked_for():
    site = cut_site(small_scan((21, 64, 64), (2.0, 1.0, 0.5)), Place(10, 30, 33, 6.0), region_mm=8.0)
    assert [len(np.unique(axis)) for axis in np.nonzero(site.alterable())] == [5, 9, 17]


def test_surroundings_end_at_the_border_of_the_scan():
    site = cut_site(small_scan(), Place(0, 19, 0, 2.0))
    assert site.start == (0, 0, 0)
    assert site.centre == (0, 19, 0)
    assert site.voxels.shape == (5, 20, 24)


def test_nobody_can_write_to_the_scan_through_its_site():
    site = cut_site(small_scan(), Place(2, 10, 10, 2.0))
    with pytest.raises(ValueError, match="read-only"):
        site.voxels[0, 0, 0] = 1


def test_a_single_slice_is_planar():
    assert cut_site(small_scan((1, 20, 24)), Place(0, 10, 10, 2.0)).planar
    assert not cut_site(small_scan((2, 20, 24)), Place(0, 10, 10, 2.0)).planar


@pytest.mark.parametrize("index", [(5, 10, 10), (-1, 10, 10), (2, 20, 10), (2, 10, 24)])
def test_a_place_outside_the_scan_is_refused(index):
    with pytest.raises(ForgeError, match=r"outside the scan, which has 5 slices of 20 x 24 pixels"):
        check_place(small_scan(), Place(*index))


@pytest.mark.parametrize("diameter", [0.0, -3.0, 32.5, float("nan")])
def test_a_lesion_that_does_not_fit_the_region_is_refused(diameter):
    with pytest.raises(ForgeError, match="does not fit the region of 32 mm"):
        check_place(small_scan(), Place(2, 10, 10, diameter))
