import json
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.places import DIAMETERS_MM, check_in_body, choose_place, find_place
from tamperscan.forge.site import Place
from tamperscan.scan import read_scan

from .lung_phantom import HEALTHY, NODULE, NODULE_MM, SPACING, phantom_scan
from .toy import small_scan


def distance_mm(place, index):
    return float(np.hypot.reduce([(a - b) * step for a, b, step in zip(place.index, index, SPACING, strict=True)]))


def places(scan, action, count=4, **options):
    return [choose_place(scan, action, np.random.default_rng(seed), **options) for seed in range(count)]


def as_mr(scan):
    return replace(scan, voxels=np.maximum(scan.voxels + 1000, 0).astype(np.float32), modality="MR")


@pytest.fixture
def marked(tmp_path):
    """Make a phantom with its nodule marked, and a mark of a tumour that is too large."""
    entries = [
        {"reader": 0, "slices": [NODULE[0]], "x": NODULE[2], "y": NODULE[1], "bbox_w": NODULE_MM / SPACING[2]},
        {"reader": 0, "slices": [30], "x": 78, "y": 56, "bbox_w": 40},
    ]
    (tmp_path / "nodules.json").write_text(json.dumps(entries))
    return replace(phantom_scan(), sources=(str(tmp_path / "volume.nii"),))


def test_lesions_are_put_into_lung_tissue():
    scan = phantom_scan()
    for place in places(scan, "inject", diameter_mm=8.0):
        around = scan.voxels[place.slice, place.row - 1 : place.row + 2, place.column - 1 : place.column + 2]
        assert place.diameter_mm == 8.0
        assert np.median(around) < -700
        assert distance_mm(place, NODULE) > NODULE_MM / 2 + 2


def test_sizes_are_drawn_where_none_is_given():
    drawn = {place.diameter_mm for place in places(phantom_scan(), "inject")}
    assert len(drawn) > 2
    assert all(DIAMETERS_MM[0] <= size <= DIAMETERS_MM[1] for size in drawn)


def test_a_small_region_gets_small_lesions():
    assert all(place.diameter_mm == 6.0 for place in places(phantom_scan(), "inject", region_mm=12.0))


def test_a_lesion_that_fits_nowhere_is_refused():
    with pytest.raises(ForgeError, match="no place in the lung has room for a lesion of 150 mm"):
        choose_place(phantom_scan(), "inject", np.random.default_rng(0), diameter_mm=150.0)


def test_without_lungs_there_is_no_place():
    with pytest.raises(ForgeError, match="no place in the lung"):
        choose_place(small_scan(), "inject", np.random.default_rng(0))
    with pytest.raises(ForgeError, match="nothing was found"):
        choose_place(small_scan(), "remove", np.random.default_rng(0))


def test_known_lesions_are_taken_out_if_they_are_small_enough(marked):
    assert set(places(marked, "remove")) == {Place(*NODULE, NODULE_MM)}


def test_a_size_that_is_asked_for_leaves_out_larger_lesions(marked):
    assert all(place.diameter_mm == 4.0 for place in places(marked, "remove", 2, diameter_mm=4.0))


def test_without_marks_dense_structures_are_taken_out():
    scan = phantom_scan()
    for place in places(scan, "remove", 2):
        around = scan.voxels[place.slice, place.row - 2 : place.row + 3, place.column - 2 : place.column + 3]
        assert around.max() > -300
        assert 4 <= place.diameter_mm <= 20


def test_a_nodule_is_found_at_its_size():
    # Most vessels are taken out, and it is the only large thing in the lungs.
    scan = phantom_scan()
    slices, rows, columns = np.indices(scan.shape)
    inside = np.minimum(abs(columns - 34), abs(columns - 78)) / 14 + abs(rows - 56) / 28 < 1
    near = np.linalg.norm([(slices - 20) * 1.4, (rows - 56) * 1.8, (columns - 34) * 1.8], axis=0) < NODULE_MM
    scan.voxels[(scan.voxels > -500) & inside & ~near] = -860.0
    large = [place for place in places(scan, "remove", 6) if place.diameter_mm > 8]
    assert large
    assert all(distance_mm(place, NODULE) < 4 and place.diameter_mm == 12 for place in large)


def test_in_mr_places_lie_in_the_body():
    scan = as_mr(phantom_scan())
    for action in ("inject", "remove"):
        for place in places(scan, action, 2, diameter_mm=8.0):
            check_in_body(scan, place)


def test_a_single_slice_has_places_too():
    scan = phantom_scan()
    scan = replace(scan, voxels=scan.voxels[20:21])
    assert all(place.slice == 0 for action in ("inject", "remove") for place in places(scan, action, 2))


def test_a_place_outside_the_body_is_refused():
    with pytest.raises(ForgeError, match="row 2, column 3 lies outside the body"):
        check_in_body(phantom_scan(), Place(20, 2, 3))


def test_a_place_that_was_asked_for_is_checked():
    scan = phantom_scan()
    assert find_place(scan, "inject", 0, HEALTHY, diameter_mm=9.0) == Place(*HEALTHY, 9.0)
    for index, problem in (((90, 56, 56), "outside the scan"), ((20, 2, 2), "outside the body")):
        with pytest.raises(ForgeError, match=problem):
            find_place(scan, "inject", 0, index)


def test_same_seed_same_place():
    scan = phantom_scan()
    found = [find_place(scan, "inject", seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("name", ["ct/series/Lung_Dx-A0002_B40f", "mr/series/STS_001_AXIAL_SE_T2_FAT_SAT_-_RESEARCH"])
def test_real_scans_have_places_for_both(real_scans, name):
    scan = read_scan(real_scans / name)
    for action in ("inject", "remove"):
        check_in_body(scan, choose_place(scan, action, np.random.default_rng(0)))
