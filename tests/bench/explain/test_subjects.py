from __future__ import annotations

import numpy as np

from tamperscan.bench.explain.subjects import (
    HEALTHY,
    cut_subject,
    healthy_subjects,
    nodule_subjects,
    offset_mm,
    square,
    tampered_subjects,
)
from tamperscan.bench.labels import read_labels

from .conftest import PIXEL, PLACE, SIDE, chest, scan_of, subject_of


def test_the_place_moves_with_the_part():
    image = chest()
    subject = subject_of(image)
    assert subject.hu[subject.place] == image[PLACE]
    assert subject.shape < (SIDE, SIDE)
    assert subject.known == (subject.place,)


def test_no_lung_no_subject():
    assert cut_subject(np.full((SIDE, SIDE), 30.0, np.float32), PIXEL, PLACE, [], ("a", "b", "FB")) is None


def test_a_place_far_from_the_lungs_is_no_subject():
    assert cut_subject(np.pad(chest(), 80, constant_values=-1000.0), PIXEL, (2, 2), [], ("a", "b", "FB")) is None


def test_the_rest_keeps_away_from_every_place():
    subject = cut_subject(chest(), PIXEL, PLACE, [(110, 174)], ("a", "b", "FB"))
    far = subject.far(30.0)
    assert not far[subject.place]
    assert not far[subject.known[1]]
    assert far.any()


def test_a_square_is_as_wide_as_the_cube():
    subject = subject_of(chest())
    inside = square(subject, subject.place)
    assert inside.sum() == 33 * 33
    assert offset_mm(subject, subject.place)[subject.place[0] + 20, subject.place[1] - 3] == 20.0


def test_healthy_places_lie_amid_parenchyma():
    (subject,) = healthy_subjects([("p", scan_of(chest()))])
    assert (subject.kind, subject.group) == (HEALTHY, "p")
    assert subject.classes.parenchyma[square(subject, subject.place)].mean() > 0.6


def test_scans_without_lung_have_no_healthy_place():
    assert healthy_subjects([("p", scan_of(np.full((SIDE, SIDE), 30.0, np.float32)))]) == []


def test_scans_without_marks_have_no_nodules():
    assert nodule_subjects([("p", scan_of(chest()))]) == []


def test_slices_that_are_missing_are_told_and_left_out(tmp_path):
    np.save(tmp_path / "1_5.npy", chest())
    lines = ["file,type,scan,slice,x,y", f"1_5.npy,FB,1,5,{PLACE[1]},{PLACE[0]}", "2_5.npy,FM,2,5,70,110"]
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    told = []
    found = tampered_subjects(tmp_path, read_labels(tmp_path), told.append)
    assert [(one.kind, one.group) for one in found] == [("FB", "1")]
    assert "2_5.npy" in str(told[0])


def test_real_tampered_slices(real_scans):
    labels = read_labels(real_scans / "ctgan")[:1]
    found = tampered_subjects(real_scans / "ctgan", labels)
    assert all(subject.lung.any() for subject in found)
    assert len(found) == 1
