import gc
import weakref
from dataclasses import replace

import numpy as np

from tamperscan.forge.survey import body_mask, survey

from .lung_phantom import HEALTHY, phantom_scan
from .toy import small_scan


def test_lungs_of_a_chest_are_its_tissue():
    scan = phantom_scan()
    surveyed = survey(scan)
    index = (HEALTHY[0], HEALTHY[1] // surveyed.step, HEALTHY[2] // surveyed.step)
    assert surveyed.tissue[index]
    assert surveyed.values[index] < -600
    assert not surveyed.tissue[20, 2, 2]
    assert surveyed.index(np.array(index)) == HEALTHY


def test_a_survey_is_kept_as_long_as_its_scan():
    scan = phantom_scan()
    found = weakref.ref(survey(scan))
    assert survey(scan) is found()
    del scan
    gc.collect()
    assert found() is None


def test_the_scans_border_limits_the_room():
    surveyed = survey(small_scan((5, 40, 40), (2.0, 2.0, 2.0)))
    room = surveyed.room_mm(np.ones((5, 40, 40), bool))
    assert room[2, 20, 20] == 6.0
    assert room[2, 0, 20] == 2.0


def test_a_single_slice_has_room_before_and_behind_it():
    surveyed = survey(small_scan((1, 40, 40), (2.0, 2.0, 2.0)))
    assert surveyed.room_mm(np.ones((1, 40, 40), bool))[0, 20, 20] == 40.0


def test_the_body_holds_the_lungs_but_not_the_table():
    scan = phantom_scan()
    scan.voxels[:, 108:110] = 100.0
    body = body_mask(scan, 20)
    assert body[HEALTHY[1:]]
    assert body[56, 56]
    assert not body[2, 2]
    assert not body[109, 56]


def test_the_body_of_mr_is_what_is_bright():
    scan = phantom_scan()
    scan = replace(scan, voxels=np.maximum(scan.voxels + 1000, 0), modality="MR")
    body = body_mask(scan, 20)
    assert body[56, 56]
    assert body[HEALTHY[1:]]
    assert not body[2, 2]


def test_a_slice_of_air_holds_no_body():
    scan = small_scan()
    scan.voxels[:] = -1000.0
    assert not body_mask(scan, 0).any()
