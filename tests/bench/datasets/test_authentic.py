import json

import numpy as np
import pytest
from dicom_maker import hounsfield, write_series

from tamperscan.bench.cases import AUTHENTIC
from tamperscan.bench.datasets.authentic import healthy_places, read_authentic, scanner_of, scanners_in
from tamperscan.detect.regions import lung_mask
from tamperscan.errors import TrainingError
from tamperscan.forge.lesions import Lesion
from tamperscan.scan import Scan, read_scan

from ..phantoms import PIXEL_MM, PLACE, SLICE_MM, chest, chest_scan

MIDDLE = Lesion(3, *PLACE, 10.0, (2, 4), 3)


def write_chest(folder, slices=6, **values):
    volume = np.stack([chest(index) for index in range(slices)]).astype(np.int16)
    facts = {"PixelSpacing": [PIXEL_MM, PIXEL_MM], "SliceThickness": SLICE_MM, "SeriesInstanceUID": None, **values}
    return write_series(folder, volume, step=SLICE_MM, **facts)


@pytest.fixture
def archive(tmp_path):
    """Two test patients and one of the training part."""
    write_chest(tmp_path / "series" / "one_a", ManufacturerModelName="Model")
    mark = {"reader": 0, "slices": [2, 3], "x": PLACE[1], "y": PLACE[0], "bbox_w": 4, "malignancy": "3"}
    (tmp_path / "series" / "one_a" / "nodules.json").write_text(json.dumps([mark]))
    write_chest(tmp_path / "series" / "two_a", 1)
    write_chest(tmp_path / "series" / "three_a", 1, Manufacturer="Other", ConvolutionKernel=None)
    split = {"test": ["series/one_*", "series/two_*", "series/none_*"], "train": ["series/three_*"]}
    (tmp_path / "split.json").write_text(json.dumps(split))
    return tmp_path


def test_scans_of_a_part(archive):
    data = read_authentic(archive, split=archive / "split.json")
    one, two = data.cases
    assert (one.name, one.group, one.generator, one.task) == ("one_a", "series/one_*", AUTHENTIC, None)
    assert one.scanner == "Maker Model B30f"
    assert read_scan(one.scan).shape == (6, 128, 128)
    assert read_scan(two.scan).shape == (1, 128, 128)
    assert "matches 'series/none_*'" in data.skipped[0].reason


def test_places_are_nodules_and_healthy_lung(archive):
    one, two = read_authentic(archive, split=archive / "split.json").cases
    kinds = [target.kind for target in one.targets]
    assert kinds[0] == "nodule"
    assert kinds.count("healthy") >= 2
    assert all(target.kind == "healthy" for target in two.targets)
    nodule = one.targets[0]
    for target in one.targets[1:]:
        away = np.hypot(target.row - nodule.row, target.column - nodule.column) * PIXEL_MM
        assert away > 32


def test_marks_that_are_damaged_cost_their_scan_alone(archive):
    (archive / "series" / "one_a" / "nodules.json").write_text("nothing")
    data = read_authentic(archive, split=archive / "split.json")
    assert [case.name for case in data.cases] == ["two_a"]
    assert any("holds no marks of lesions" in row.reason for row in data.skipped)


def test_other_modalities_are_counted(archive):
    write_series(archive / "series" / "two_b", hounsfield(1), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    data = read_authentic(archive, split=archive / "split.json")
    assert len(data.cases) == 2
    assert any(row.reason == "is MR, not CT" for row in data.skipped)


def test_a_split_without_the_part_is_refused(archive):
    with pytest.raises(TrainingError, match="no part 'other'"):
        read_authentic(archive, split=archive / "split.json", parts=("other",))


def test_scanners_of_the_training_part(archive):
    assert scanners_in(archive, split=archive / "split.json") == {"Other"}
    assert scanner_of(Scan(np.zeros((1, 2, 2), np.float32), (1.0, 1.0, 1.0), "CT", "s")) == ""


def test_healthy_places_lie_in_the_lung_and_far_from_lesions_and_each_other():
    scan = chest_scan(slices=6)
    found = list(healthy_places(scan, [MIDDLE], 4))
    assert len(found) == 4
    assert len({target.slice for target in found}) == 4
    for target in found:
        lung = lung_mask(scan.voxels[target.slice], scan.spacing_mm[1:])
        assert lung[target.row, target.column]
        assert np.hypot(target.row - PLACE[0], target.column - PLACE[1]) * PIXEL_MM > 32


def test_healthy_places_of_a_single_slice_keep_apart():
    first, second, *_ = healthy_places(chest_scan(slices=1), [])
    assert np.hypot(first.row - second.row, first.column - second.column) * PIXEL_MM > 32


def test_healthy_places_are_the_same_for_the_same_scan():
    assert list(healthy_places(chest_scan(), [])) == list(healthy_places(chest_scan(), []))
    assert list(healthy_places(chest_scan(), [])) != list(healthy_places(chest_scan(name="other"), []))


def test_a_scan_without_lungs_has_no_healthy_place():
    assert list(healthy_places(Scan(np.zeros((1, 40, 40), np.float32), (1.0, 1.0, 1.0), "CT", "s"), [])) == []


def test_mr_places_lie_in_the_body():
    voxels = np.zeros((3, 100, 100), np.float32)
    voxels[:, 20:80, 20:80] = 500.0
    found = list(healthy_places(Scan(voxels, (3.0, 1.0, 1.0), "MR", "s"), []))
    assert len(found) == 4
    assert all(28 <= target.row < 72 and 28 <= target.column < 72 for target in found)
