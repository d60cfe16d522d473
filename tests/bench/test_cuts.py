import re
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.cuts import cut_cases
from tamperscan.bench.masks import nodes_of
from tamperscan.bench.stored import load_slice
from tamperscan.forge.grid import mask_file
from tamperscan.scan import read_scan

from .phantoms import PLACE, chest_scan, smoothed, write_nifti

SLICES = 13


@pytest.fixture
def volume(tmp_path):
    scan = chest_scan(1, SLICES)
    path = write_nifti(tmp_path / "volume.nii.gz", scan.voxels)
    return scan, Case("volume", "p", "CT", AUTHENTIC, None, path)


def tampered_case(tmp_path, slices=range(5, 8), mask=True):
    scan, truth = smoothed(chest_scan(1, SLICES), slices)
    path = write_nifti(tmp_path / "tampered.nii.gz", scan.voxels)
    target = Target(6, *PLACE, "removed")
    if not mask:
        return truth, Case("tampered", "p", "CT", "smooth", "remove", path, (target,))
    (tmp_path / "mask.nii.gz").write_bytes(mask_file(truth, read_scan(path)))
    return truth, Case("tampered", "p", "CT", "smooth", "remove", path, (target,), tmp_path / "mask.nii.gz")


def test_slices_keep_their_distance(volume, tmp_path):
    cuts = cut_cases([volume[1]], tmp_path)["volume"]
    assert [one.index for one in cuts.slices] == [0, 2, 4, 6, 8, 10, 12]
    assert not any(one.tampered for one in cuts.slices)
    assert cuts.facts.shape == (SLICES, 128, 128)
    few = cut_cases([volume[1]], tmp_path, most_slices=3)["volume"]
    assert [one.index for one in few.slices] == [0, 6, 12]


def test_what_is_stored_is_the_slice(volume, tmp_path):
    scan, case = volume
    for one in cut_cases([case], tmp_path)["volume"].slices:
        assert np.array_equal(load_slice(tmp_path, one.key).image, scan.voxels[one.index])


def test_an_authentic_scan_without_places_gets_some_in_its_lungs(volume, tmp_path):
    cuts = cut_cases([volume[1]], tmp_path)["volume"]
    assert len(cuts.places) == 4 * len(cuts.slices)
    for place in cuts.places:
        assert load_slice(tmp_path, place.key).region[place.row, place.column]


def test_without_a_mask_slices_near_the_place_are_tampered(tmp_path):
    _, case = tampered_case(tmp_path, mask=False)
    cuts = cut_cases([case], tmp_path)["tampered"]
    told = {one.index: one.tampered for one in cuts.slices}
    assert told == {0: False, 4: True, 5: True, 6: True, 7: True, 8: True, 12: False}
    assert all(one.mask is None for one in cuts.slices)


def test_with_a_mask_it_decides_which_slices_and_nodes_are_tampered(tmp_path):
    truth, case = tampered_case(tmp_path)
    cuts = cut_cases([case], tmp_path)["tampered"]
    assert {one.index: one.tampered for one in cuts.slices}.items() >= {
        5: True,
        6: True,
        7: True,
        4: False,
        8: False,
    }.items()
    for one in (each for each in cuts.slices if each.tampered):
        grid = load_slice(tmp_path, one.key).grid
        assert grid.step == 1
        assert np.array_equal(nodes_of(one.mask, int(grid.nodes.sum())), truth[one.index][grid.nodes])


def test_two_cases_share_the_slices_that_are_alike(volume, tmp_path):
    _, tampered = tampered_case(tmp_path, mask=False)
    cuts = cut_cases([volume[1], tampered], tmp_path)
    keys = {name: {one.index: one.key for one in each.slices} for name, each in cuts.items()}
    assert keys["volume"][0] == keys["tampered"][0]
    assert keys["volume"][6] != keys["tampered"][6]


def test_cuts_are_kept(volume, tmp_path):
    first = cut_cases([volume[1]], tmp_path)
    stored = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert cut_cases([volume[1]], tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == stored


def test_a_scan_that_has_changed_is_cut_anew(volume, tmp_path):
    first = cut_cases([volume[1]], tmp_path)["volume"]
    write_nifti(tmp_path / "volume.nii.gz", chest_scan(2, SLICES).voxels)
    assert cut_cases([volume[1]], tmp_path)["volume"].slices[0].key != first.slices[0].key


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scan": "missing.nii.gz"}, "does not exist"),
        ({"targets": (Target(6, 500, 3, "removed"),)}, "does not fit"),
        ({"targets": (Target(SLICES, 3, 3, "removed"),)}, "does not fit"),
        ({"mask": "other.nii.gz"}, "mask|voxels"),
    ],
)
def test_what_does_not_fit_is_told_and_costs_its_case_alone(volume, tmp_path, change, problem):
    _, case = tampered_case(tmp_path, mask=False)
    change = {key: tmp_path / value if isinstance(value, str) else value for key, value in change.items()}
    if "mask" in change:
        write_nifti(change["mask"], np.zeros((3, 128, 128)))
    wrong = replace(case, name="wrong", **change)
    cuts = cut_cases([wrong, volume[1]], tmp_path)
    assert not cuts["wrong"].facts.readable
    assert re.search(problem, cuts["wrong"].facts.problem)
    assert str(tmp_path) not in cuts["wrong"].facts.problem
    assert cuts["wrong"].slices == ()
    assert cuts["volume"].facts.readable
