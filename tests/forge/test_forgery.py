import json
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.errors import ForgeError
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place
from tamperscan.scan.volume import pixel_sha256

from .toy import Ball, small_scan

PLACE = Place(2, 10, 12, 5.0)


def made(scan=None, method=None, **options):
    scan = small_scan() if scan is None else scan
    return forge(scan, method or Ball(), "inject", PLACE, **{"region_mm": 8.0, **options})


def test_the_mask_is_exactly_what_differs():
    scan = small_scan()
    before = scan.voxels.copy()
    forgery = made(scan)
    assert np.array_equal(forgery.mask, forgery.scan.voxels != before)
    assert np.array_equal(scan.voxels, before)
    assert forgery.mask[PLACE.index]


def test_nothing_outside_the_region_is_altered():
    class Everything(Ball):
        def alter(self, site, action, rng):
            return np.full_like(site.voxels, 40.0)

    mask = made(method=Everything()).mask
    assert np.argwhere(mask).min(axis=0).tolist() == [0, 2, 7]
    assert np.argwhere(mask).max(axis=0).tolist() == [4, 18, 17]


def test_the_record_says_what_was_done():
    scan = small_scan()
    forgery = made(scan, seed=5)
    record = forgery.record
    assert (record.method, record.action, record.seed, record.place) == ("ball", "inject", 5, PLACE)
    assert (record.dimensions, record.slice_range) == (3, (1, 3))
    assert record.voxels_changed == forgery.mask.sum()
    assert record.source["sha256"] == pixel_sha256(scan.voxels)
    assert record.sha256 == forgery.scan.sha256 == pixel_sha256(forgery.scan.voxels)
    assert json.loads(json.dumps(record.as_dict()))["place"]["diameter_mm"] == 5.0


def test_the_name_tells_that_it_is_forged():
    assert made(seed=5).scan.name == "forged_small_ball_inject_5"


def test_same_seed_same_forgery():
    assert made(seed=3).record.sha256 == made(seed=3).record.sha256
    assert made(seed=3).record.sha256 != made(seed=4).record.sha256


def test_a_single_slice_is_forged_in_two_dimensions():
    scan = small_scan((1, 20, 24))
    record = forge(scan, Ball(), "inject", Place(0, 10, 12, 5.0)).record
    assert (record.dimensions, record.slice_range) == (2, (0, 0))


def test_whole_numbers_stay_whole_and_zero_has_no_sign():
    forgery = made(method=Ball(value=0.0))
    assert np.array_equal(forgery.scan.voxels, np.rint(forgery.scan.voxels))
    assert not np.signbit(forgery.scan.voxels[forgery.scan.voxels == 0]).any()


def test_fractions_stay_fractions():
    scan = small_scan()
    scan = replace(scan, voxels=scan.voxels + np.float32(0.25))
    altered = made(scan).scan.voxels[PLACE.index]
    assert altered != np.rint(altered)


def test_no_value_lies_beyond_those_of_the_scan():
    scan = small_scan()
    assert made(scan, Ball(value=9000.0)).scan.voxels.max() == scan.voxels.max()


def test_a_refusal_of_the_method_is_passed_on():
    with pytest.raises(ForgeError, match="not here"):
        made(method=Ball(refuses="not here"))


def test_values_that_are_no_numbers_are_refused():
    with pytest.raises(ForgeError, match="no numbers"):
        made(method=Ball(value=float("nan")))


def test_a_method_that_changes_nothing_is_refused():
    class Nothing(Ball):
        def alter(self, site, action, rng):
            return site.voxels

    with pytest.raises(ForgeError, match="changed nothing"):
        made(method=Nothing())
