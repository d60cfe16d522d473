import math

import numpy as np
import pytest

from tamperscan.bench.labels import Label, read_labels
from tamperscan.bench.slices import measure_authentic, measure_tampered, single_slices
from tamperscan.errors import ScanError

from .conftest import BrightPlaces, image, scan_of


def test_a_tampered_slice(detector, ctgan_folder):
    outcomes = measure_tampered(detector, detector, ctgan_folder, read_labels(ctgan_folder))
    first = outcomes[0]
    assert (first.slice.group, first.slice.name) == ("1", "1_5.npy")
    assert first.slice.score == 100
    assert first.slice.placed == first.slice.reference == 100
    assert first.peak_mm <= 10
    assert first.within == 1.0
    assert 15 < first.slice.rest <= 20
    assert first.slice.sign == "too noisy"


def test_a_label_that_is_not_bright_is_not_found(detector, ctgan_folder):
    outcomes = measure_tampered(detector, detector, ctgan_folder, read_labels(ctgan_folder))
    assert 0.1 < outcomes[-1].within < 0.9
    assert outcomes[-1].slice.sign is None


def test_other_tampering_of_the_scan_is_no_rest(detector, tmp_path):
    np.save(tmp_path / "a.npy", np.maximum(image(1, (40, 30)), image(1, (90, 100))))
    here, there = Label("a.npy", "FB", "1", 10, 40, 30), Label("b.npy", "FB", "1", 26, 90, 100)
    assert measure_tampered(detector, detector, tmp_path, [here])[0].slice.rest == 100
    np.save(tmp_path / "b.npy", image(1))
    assert measure_tampered(detector, detector, tmp_path, [here, there])[0].slice.rest <= 20
    farther = Label("b.npy", "FB", "1", 200, 90, 100)  # how far it reaches along the body is not on record
    assert measure_tampered(detector, detector, tmp_path, [here, farther])[0].slice.rest <= 20
    of_another = Label("b.npy", "FB", "2", 10, 90, 100)
    assert measure_tampered(detector, detector, tmp_path, [here, of_another])[0].slice.rest == 100


def test_a_label_outside_its_slice_is_told(detector, ctgan_folder):
    with pytest.raises(ScanError, match="row 500"):
        measure_tampered(detector, detector, ctgan_folder, [Label("1_5.npy", "FB", "1", 5, 500, 3)])


def test_authentic_slices(detector, authentic):
    outcomes = measure_authentic(detector, detector, authentic)
    assert [one.group for one in outcomes] == ["p1", "p1", "p2", "p3", "p3"]
    assert [one.measured for one in outcomes] == [True, True, True, True, False]
    assert outcomes[-1].reason == "No lung was found."
    assert math.isnan(outcomes[-1].placed)
    assert all(0 < one.placed <= 20 for one in outcomes[:-1])


def test_slices_are_screened_by_themselves(authentic):
    class Watching(BrightPlaces):
        def screen(self, scan):
            shapes.append(scan.shape[0])
            return super().screen(scan)

    shapes = []
    measure_authentic(Watching(), BrightPlaces(), authentic)
    assert set(shapes) == {1}


@pytest.mark.parametrize(("slices", "slice_mm", "expected"), [(7, 2.0, 3), (7, 5.0, 7), (40, 5.0, 20), (100, 1.0, 20)])
def test_slices_lie_5_mm_apart_and_are_20_at_most(slices, slice_mm, expected):
    scan = scan_of(*(np.full((2, 2), index, np.float32) for index in range(slices)), slice_mm=slice_mm)
    chosen = [int(single.voxels[0, 0, 0]) for single in single_slices(scan)]
    assert len(chosen) == expected
    assert min(np.diff(chosen)) * slice_mm >= 5.0
    assert max(np.diff(chosen)) <= min(np.diff(chosen)) * 2


def test_names_of_slices_differ():
    scan = scan_of(image(1), image(2), name="s")
    assert [single.name for single in single_slices(scan)] == ["s_0", "s_1"]
    assert [single.name for single in single_slices(scan_of(image(1), name="s"))] == ["s"]
