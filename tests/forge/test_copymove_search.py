from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tamperscan.forge.copymove_search import Search, blobs, value_range
from tamperscan.forge.copymove_source import cut_patch
from tamperscan.forge.lesions import Lesion
from tamperscan.forge.outline import hard_mask
from tamperscan.forge.site import Place

from .tissue import LUNG_HU, MIDDLE, WALL_FROM, lung_scan, mr_scan, site_at

BALL = (10, 20, 20, 10.0)


def search(scan, place=MIDDLE, radius=8.0, **options):
    site = site_at(scan, place)
    mask = hard_mask(site, radius, np.random.default_rng(0))
    return Search(cut_patch(site, mask), radius, scan, place=place.index, **options)


def gap_mm(scan, source, place):
    return np.linalg.norm((np.array(source.centre) - np.array(place.index)) * scan.spacing_mm)


def test_the_most_distinct_blob_is_the_ball():
    scan = lung_scan(balls=[BALL])
    found = blobs(scan, 10.0)
    inside = found[(found[:, 1:] > 10).all(axis=1) & (found[:, 2] < WALL_FROM - 10)]
    assert np.abs((inside[0] - BALL[:3]) * scan.spacing_mm).max() <= 2.5


def test_blobs_are_found_in_a_single_thin_slice():
    flat = lung_scan(shape=(1, 96, 96), spacing=(0.8, 1.0, 1.0), balls=[(0, 20, 20, 10.0)])
    found = blobs(flat, 10.0)
    inside = found[(found[:, 1:] > 10).all(axis=1) & (found[:, 2] < WALL_FROM - 10)]
    assert np.abs(inside[0] - (0, 20, 20)).max() <= 2
    assert search(flat, Place(0, 48, 40)).structure(10.0) is not None


def test_a_structure_is_found_amid_lung():
    scan = lung_scan(balls=[BALL])
    source = search(scan).structure(10.0)
    assert np.abs((np.array(source.centre) - BALL[:3]) * scan.spacing_mm).max() <= 2.5


def test_there_is_no_structure_in_plain_lung_or_for_a_place_in_the_wall():
    assert search(lung_scan()).structure(10.0) is None
    wide = lung_scan(shape=(20, 96, 140), balls=[BALL])
    assert search(wide, Place(10, 48, 115)).structure(10.0) is None


def test_bone_and_what_lies_outside_the_body_are_no_structures():
    scan = lung_scan(balls=[BALL])
    bone = scan.voxels.copy()
    bone[:, 10:30, 10:30] += np.where(bone[:, 10:30, 10:30] > -200, 900, 0)
    assert search(replace(scan, voxels=bone)).structure(10.0) is None
    outside = lung_scan(balls=[BALL]).voxels
    outside[:, :3], outside[:, -3:], outside[:, :, :3] = LUNG_HU, LUNG_HU, LUNG_HU
    assert search(replace(scan, voxels=outside)).structure(10.0) is None


@pytest.mark.parametrize("column", [40, WALL_FROM - 2])
def test_healthy_tissue_goes_on_as_that_around_the_place(column):
    place = Place(10, 60, column)
    scan = lung_scan(balls=[(*place.index, 10.0)])
    source = search(scan, place).healthy([], np.random.default_rng(0))
    assert gap_mm(scan, source, place) > 16.0
    assert abs(source.centre[2] - column) <= 3 or column < WALL_FROM - 20
    middle = scan.voxels[source.centre]
    assert middle < LUNG_HU + 100 or column > WALL_FROM - 20


def test_known_lesions_are_not_taken_for_healthy():
    scan = lung_scan()
    everywhere = [Lesion(10, 48, 40, 200.0, (0, 19), 1)]
    assert search(scan).healthy(everywhere, np.random.default_rng(0)) is None
    assert search(scan).healthy([], np.random.default_rng(0)) is not None


def test_a_scan_without_room_gives_nothing():
    donor = lung_scan(shape=(3, 20, 20))
    patch = search(lung_scan()).patch
    assert Search(patch, 8.0, donor).healthy([], np.random.default_rng(0)) is None
    assert Search(patch, 8.0, donor).structure(10.0) is None


def test_the_range_of_mr_follows_its_gain():
    assert value_range(mr_scan(gain=3.0)) == pytest.approx(3 * value_range(mr_scan()), rel=1e-3)
    assert value_range(lung_scan()) == value_range(lung_scan(noise_hu=50))
