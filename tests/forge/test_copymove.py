from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from tamperscan.errors import ForgeError
from tamperscan.forge import copymove
from tamperscan.forge.blending import laplacian
from tamperscan.forge.copymove_source import Source, Turn, cut_patch, read_patch
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place

from .tissue import LUNG_HU, MIDDLE, WALL_HU, distance_mm, high_pass_std, lung_scan, mr_scan, site_at

NODULE = (*MIDDLE.index, MIDDLE.diameter_mm)
ELSEWHERE = (8, 22, 60, 12.0)


def within(scan, radius_mm, place=MIDDLE):
    return distance_mm(scan.shape, place.index, scan.spacing_mm) < radius_mm


def with_mark(folder, scan_seed=0):
    """A scan with a nodule that a reader has marked."""
    slice_, row, column, diameter = ELSEWHERE
    mark = {"reader": 0, "slices": [slice_ - 1, slice_, slice_ + 1], "x": column, "y": row, "bbox_w": diameter}
    (folder / "nodules.json").write_text(json.dumps([mark]))
    return lung_scan(scan_seed, balls=[ELSEWHERE], sources=(str(folder / "scan.nii"),))


def source_of(scan, settings):
    stated = settings["source"]
    centre = (stated["slice"], stated["row"], stated["column"])
    turn = Turn(stated["quarter_turns"], stated["mirrored"])
    return Source(scan, centre, turn, stated["resampled"], stated["gain"])


def test_a_nodule_is_covered_by_lung_with_its_noise():
    scan = lung_scan(balls=[NODULE])
    forgery = forge(scan, copymove.make(), "remove", MIDDLE)
    inside = within(scan, 4.0)
    assert forgery.scan.voxels[inside].mean() == pytest.approx(LUNG_HU, abs=20)
    around = within(scan, 30.0) & ~within(scan, 20.0)
    assert high_pass_std(forgery.scan.voxels, inside) == pytest.approx(high_pass_std(scan.voxels, around), rel=0.3)


def test_a_known_lesion_is_copied_to_the_place(tmp_path):
    scan = with_mark(tmp_path)
    forgery = forge(scan, copymove.make(), "inject", MIDDLE)
    assert forgery.scan.voxels[within(scan, 3.0)].mean() == pytest.approx(WALL_HU, abs=40)
    stated = forgery.record.settings["source"]
    assert (stated["slice"], stated["row"], stated["column"]) == ELSEWHERE[:3]
    json.dumps(forgery.record.as_dict())


def test_without_marks_a_structure_of_the_size_is_copied():
    scan = lung_scan(balls=[ELSEWHERE])
    forgery = forge(scan, copymove.make(), "inject", MIDDLE)
    assert forgery.scan.voxels[MIDDLE.index] > -200


@pytest.mark.parametrize("action", ["inject", "remove"])
def test_the_noise_that_is_copied_is_that_of_the_source(tmp_path, action):
    scan = with_mark(tmp_path)
    method, site = copymove.make(), site_at(scan)
    altered = method.alter(site, action, np.random.default_rng(3))
    source = source_of(scan, method.settings)
    changed = altered != site.voxels
    patch = cut_patch(site, changed)
    membrane = np.zeros_like(altered)
    membrane[changed] = altered[changed] - read_patch(source, patch, patch.core)
    core = ndimage.binary_erosion(changed)
    # What was added to the copied voxels is harmonic: it has no grain.
    assert np.abs(laplacian(core, site.spacing_mm) @ membrane.ravel()).max() < 0.05


def test_nothing_outside_the_cube_is_altered():
    scan = lung_scan(balls=[NODULE])
    large = Place(*MIDDLE.index, diameter_mm=31.0)
    forgery = forge(scan, copymove.make(), "remove", large)
    site = site_at(scan)
    outside = np.ones(scan.shape, bool)
    outside[site.box] = ~site.alterable()
    assert not forgery.mask[outside].any()


def test_same_seed_same_forgery_and_the_source_is_on_record():
    scan = lung_scan(balls=[NODULE])
    method = copymove.make()
    first, other, again = (forge(scan, method, "remove", MIDDLE, seed=seed).record for seed in (1, 2, 1))
    assert first.sha256 == again.sha256 != other.sha256
    assert first.settings == again.settings != other.settings


def test_a_donor_with_another_spacing_is_resampled():
    scan = lung_scan()
    donor = lung_scan(7, shape=(30, 110, 120), spacing=(1.5, 0.8, 0.8), balls=[(15, 30, 30, 12.0)], name="donor")
    method = copymove.make(donor=donor)
    forgery = forge(scan, method, "inject", MIDDLE)
    assert method.settings["donor"] == "donor"
    assert method.settings["source"]["resampled"]
    dense = forgery.scan.voxels[:, 10:-10, 10:70] > -400
    extents = [np.ptp(along) * step for along, step in zip(np.nonzero(dense), scan.spacing_mm, strict=True)]
    assert all(7.5 <= extent <= 13 for extent in extents)


def test_an_mr_donor_takes_on_the_scans_scale():
    scan = mr_scan()
    donor = mr_scan(3, balls=[ELSEWHERE], gain=4.0, name="donor")
    method = copymove.make(donor=donor)
    forgery = forge(scan, method, "inject", MIDDLE)
    assert method.settings["source"]["gain"] == pytest.approx(0.25, rel=0.05)
    assert 400 < forgery.scan.voxels[within(scan, 3.0)].mean() < 700


def test_a_single_slice_is_filled_from_a_volume():
    flat = lung_scan(shape=(1, 96, 96), balls=[(0, 48, 40, 12.0)])
    forgery = forge(flat, copymove.make(donor=lung_scan(5, name="donor")), "remove", Place(0, 48, 40))
    assert forgery.record.dimensions == 2
    assert forgery.scan.voxels[0, 46:51, 38:43].mean() == pytest.approx(LUNG_HU, abs=30)


def test_what_can_not_work_is_refused():
    scan = lung_scan()
    with pytest.raises(ForgeError, match="donor of the same modality"):
        forge(scan, copymove.make(donor=mr_scan()), "inject", MIDDLE)
    with pytest.raises(ForgeError, match="a dense structure of about 12 mm"):
        forge(scan, copymove.make(), "inject", MIDDLE)
    with pytest.raises(ForgeError, match="healthy tissue of 12 mm"):
        forge(scan, copymove.make(donor=lung_scan(shape=(2, 20, 20))), "remove", MIDDLE)
    with pytest.raises(ForgeError, match="no weights"):
        copymove.make("folder")
