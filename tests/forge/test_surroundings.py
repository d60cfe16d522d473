import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.site import Place, cut_site
from tamperscan.forge.surroundings import look
from tamperscan.scan.volume import Scan


def site_at(place, shape=(20, 90, 90), spacing=(2.0, 1.0, 1.0)):
    voxels = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return cut_site(Scan(voxels, spacing, "CT", "counted"), place)


def near(site, mm=6.0):
    return site.distance_mm() < mm


@pytest.mark.parametrize("place", [Place(10, 45, 45), Place(0, 3, 88), Place(19, 89, 0)])
def test_the_view_shows_the_scan_around_what_is_altered(place):
    site = site_at(place)
    view = look(site, near(site), side=48, slices=2)
    seen = view.cut(site, site.voxels)
    assert seen.shape[1:] == (48, 48)
    assert np.array_equal(seen[view.inner], site.voxels[view.part])
    assert np.array_equal(seen, site.scan.voxels[np.ix_(*view.indices)])


def test_altered_voxels_show_in_the_view():
    site = site_at(Place(10, 45, 45))
    view = look(site, near(site), side=48)
    seen = view.cut(site, np.where(near(site), np.float32(-5.0), site.voxels))
    assert np.array_equal(seen == -5.0, view.place(near(site).astype(np.float32)) == 1.0)


def test_more_pixels_come_in_strides():
    site = site_at(Place(10, 45, 45))
    assert look(site, near(site, 15.0), side=32, stride=16).cut(site, site.voxels).shape[1:] == (48, 48)


def test_a_scan_smaller_than_the_view_is_continued_by_its_last_pixels():
    site = site_at(Place(2, 10, 10), shape=(5, 20, 20))
    seen = look(site, near(site), side=32).cut(site, site.voxels)
    assert seen.shape[1:] == (32, 32)
    assert (seen[:, 20:] == seen[:, 19:20]).all()


def test_nothing_to_alter_is_refused():
    site = site_at(Place(10, 45, 45))
    with pytest.raises(ForgeError, match="counted: nothing can be altered"):
        look(site, np.zeros(site.voxels.shape, bool), side=32)
