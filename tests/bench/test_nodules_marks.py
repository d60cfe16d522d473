from __future__ import annotations

import json

import numpy as np
import pytest

from tamperscan.bench.nodules_marks import read_marks
from tamperscan.bench.nodules_places import place_inside
from tamperscan.bench.volumes_blocks import cut_slices
from tamperscan.detect.regions import lung_mask
from tamperscan.detect.training import read_split
from tamperscan.errors import ScanError
from tamperscan.scan import read_scan

from .conftest import REAL_SCANS

ROOT = REAL_SCANS.parents[2]
OURS = ROOT / "training" / "ct-nodules.json"
MARK = {"file": "ct/a.dcm", "slice": 0, "row": 3, "column": 4, "diameter_mm": 9.0, "certainty": "sure"}


def written(tmp_path, *entries):
    path = tmp_path / "nodules.json"
    path.write_text(json.dumps({"about": "", "nodules": entries}))
    return path


def test_a_mark_is_read(tmp_path):
    (mark,) = read_marks(written(tmp_path, MARK))
    assert (mark.file, mark.slice, mark.row, mark.column) == ("ct/a.dcm", 0, 3, 4)
    assert (mark.diameter_mm, mark.certainty) == (9.0, "sure")


@pytest.mark.parametrize(
    ("key", "value"), [("certainty", "perhaps"), ("row", -1), ("diameter_mm", 0), ("slice", "first"), ("file", None)]
)
def test_what_makes_no_sense_is_refused_with_its_number(tmp_path, key, value):
    entry = {name: kept for name, kept in (MARK | {key: value}).items() if kept is not None}
    with pytest.raises(ScanError, match="nodule 2"):
        read_marks(written(tmp_path, MARK, entry))


def test_a_file_without_nodules_is_refused(tmp_path):
    path = tmp_path / "nodules.json"
    with pytest.raises(ScanError, match="can't be read"):
        read_marks(path)
    path.write_text("[]")
    with pytest.raises(ScanError, match="no list of nodules"):
        read_marks(path)


def test_ours_say_who_marked_them_and_hold_each_once():
    about = json.loads(OURS.read_text())["about"]
    assert "no radiologists" in about
    marks = read_marks(OURS)
    assert len({(mark.file, mark.slice, mark.row, mark.column) for mark in marks}) == len(marks)
    assert all(4.0 <= mark.diameter_mm <= 60.0 for mark in marks)


def test_ours_are_of_patients_of_the_split():
    split = ROOT / "training" / "ct-split.json"
    patients = [glob.rstrip("*") for part in ("train", "calibrate", "test") for glob in read_split(split, part)]
    for mark in read_marks(OURS):
        assert any(mark.file.removeprefix("ct/").startswith(patient) for patient in patients), mark.file


@pytest.mark.skipif(not REAL_SCANS.is_dir(), reason="the real scans are not here")
def test_ours_lie_in_soft_tissue_within_the_lung():
    marks = read_marks(OURS)
    for file in dict.fromkeys(mark.file for mark in marks):
        scan = read_scan(REAL_SCANS / file)
        pixel = scan.spacing_mm[1:]
        for mark in (one for one in marks if one.file == file):
            image = cut_slices(scan, mark.slice, 1, scan.name)
            middle = (mark.row, mark.column)
            place = place_inside(image, middle, mark.diameter_mm)
            assert lung_mask(image.voxels[0], pixel)[place], mark
            # The middle fifth of the nodule, 3 mm at least.
            reach = [max(1, round(max(1.5, mark.diameter_mm / 10) / side)) for side in pixel]
            for row, column in (middle, place):
                box = image.voxels[0, row - reach[0] : row + reach[0] + 1, column - reach[1] : column + reach[1] + 1]
                assert np.median(box) > -450.0, mark
