import json

import numpy as np
import pytest

from tamperscan.errors import ScanError
from tamperscan.forge.lesions import Lesion, known_lesions
from tamperscan.scan import read_scan

from .toy import small_scan


def nodule(reader, slices, x=100.0, y=60.0, width=10.0, malignancy="3"):
    return {"reader": reader, "slices": slices, "x": x, "y": y, "bbox_w": width, "malignancy": malignancy}


@pytest.fixture
def marked(tmp_path):
    """Make a scan of slices 20 to 29, with marks beside it."""

    def make(entries, name="nodules.json"):
        (tmp_path / name).write_text(json.dumps(entries))
        sources = tuple(str(tmp_path / f"{number:04}.dcm") for number in range(20, 30))
        return small_scan((10, 120, 160), (2.5, 0.5, 0.5), sources=sources)

    return make


def test_readers_of_one_nodule_are_put_together(marked):
    scan = marked(
        [
            nodule(0, [22, 23, 24], 100, 60, 10, "5"),
            nodule(1, [23, 24], 102, 60, 12, "3"),
            nodule(2, [24, 25], 101, 62, 14, "4"),
        ]
    )
    (lesion,) = known_lesions(scan)
    assert (lesion.readers, lesion.malignancy, lesion.slice_range) == (3, 4.0, (2, 5))
    assert lesion.diameter_mm == 6.0
    assert (lesion.slice, lesion.row, lesion.column) == (4, 61, 101)


def test_nodules_above_each_other_stay_apart(marked):
    scan = marked([nodule(0, [21, 22]), nodule(1, [21, 22]), nodule(0, [23, 24])])
    assert [(lesion.readers, lesion.slice_range) for lesion in known_lesions(scan)] == [(2, (1, 2)), (1, (3, 4))]


def test_nodules_beside_each_other_stay_apart(marked):
    assert len(known_lesions(marked([nodule(0, [22], x=100), nodule(0, [22], x=106)]))) == 2


def test_a_mark_that_joins_two_makes_one_lesion(marked):
    scan = marked([nodule(0, [21]), nodule(1, [23]), nodule(2, [21, 22, 23])])
    assert [lesion.readers for lesion in known_lesions(scan)] == [3]


def test_marks_in_slices_that_are_not_there_are_left_out(marked):
    scan = marked([nodule(0, [10, 11]), nodule(0, [18, 19, 20, 21])])
    assert [lesion.slice_range for lesion in known_lesions(scan)] == [(0, 1)]


def test_boxes_in_neighbouring_slices_are_one_tumour(marked):
    boxes = [{"slice": number, "label": "A", "bbox": [80, 40, 120, 80]} for number in (21, 22, 23)]
    boxes.append({"slice": 27, "label": "A", "bbox": [20, 20, 30, 40]})
    assert known_lesions(marked(boxes, "tumour_boxes.json")) == [
        Lesion(2, 60, 100, 20.0, (1, 3), 1),
        Lesion(7, 30, 25, 7.5, (7, 7), 1),
    ]


def test_files_without_numbers_are_counted_from_the_first_slice(tmp_path):
    (tmp_path / "nodules.json").write_text(json.dumps([nodule(0, [3, 4])]))
    scan = small_scan((10, 120, 160), sources=(str(tmp_path / "volume.nii"),))
    assert known_lesions(scan)[0].slice_range == (3, 4)


def test_no_marks_no_lesions(marked, tmp_path):
    assert known_lesions(small_scan()) == []
    assert known_lesions(small_scan(sources=(str(tmp_path / "0001.dcm"),))) == []
    assert known_lesions(marked([])) == []


@pytest.mark.parametrize(
    "content",
    ["{", "7", '[{"slices": [1]}]', json.dumps([nodule(0, [])]), json.dumps([nodule(0, [22], width=0)]), '["a"]'],
)
def test_damaged_marks_are_an_error(marked, tmp_path, content):
    scan = marked([])
    (tmp_path / "nodules.json").write_text(content)
    with pytest.raises(ScanError, match=r"nodules\.json: holds no marks of lesions"):
        known_lesions(scan)


@pytest.mark.parametrize(
    ("series", "count"),
    [("LIDC-IDRI-0001_STANDARD", 1), ("LIDC-IDRI-0003_STANDARD", 4), ("Lung_Dx-A0001_L", 1), ("Lung_Dx-A0002_B70f", 1)],
)
def test_real_marks_lie_on_dense_tissue_in_the_lung(real_scans, series, count):
    scan = read_scan(real_scans / "ct" / "series" / series)
    lesions = known_lesions(scan)
    assert len(lesions) == count
    for lesion in lesions:
        plane = scan.voxels[lesion.slice]
        reach = round(lesion.diameter_mm / scan.spacing_mm[1])
        middle = plane[lesion.row - 3 : lesion.row + 4, lesion.column - 3 : lesion.column + 4]
        around = plane[lesion.row - reach : lesion.row + reach + 1, lesion.column - reach : lesion.column + reach + 1]
        assert np.median(middle) > -650
        assert np.median(middle) > np.percentile(around, 40)
        assert (around < -700).mean() > 0.05
