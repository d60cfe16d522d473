"""Told places: what is chosen, how it is scored, and what is made of the scores."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.labels import COLUMNS, read_labels
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.nodules import HELD_OUT_NODULES, NoduleResult, compare, unscored
from tamperscan.bench.nodules_marks import Mark
from tamperscan.bench.nodules_page import nodules_page
from tamperscan.bench.nodules_places import (
    LEAST_REFERENCES,
    Spot,
    authentic_spots,
    healthy_places,
    place_inside,
    tampered_spots,
)
from tamperscan.bench.nodules_scoring import OURS, PUBLISHED, Scored, Scorer, score_spots
from tamperscan.bench.places import distance_mm
from tamperscan.detect.regions import lung_mask
from tamperscan.scan import Scan

from .phantoms import PIXEL_MM, PLACE, SLICE_MM, chest, ellipse, write_nifti

PIXEL = (PIXEL_MM, PIXEL_MM)


def slice_of(image, name="slice"):
    return Scan(image[None], (SLICE_MM, *PIXEL), "CT", name)


def with_mass(seed, middle, radius):
    image = chest(seed)
    image[ellipse(middle, (radius, radius))] = 30.0
    return image


class Brightness:
    """Scores a place by its pixel; blind in the right half."""

    def __init__(self):
        self.asked = 0

    def score_patch(self, scan, slice, row, column):
        self.asked += 1
        return math.nan if column >= 64 else float(scan.voxels[slice, row, column])


def scored(name, group, kind, score, part="test", relative=None, **facts):
    relative = score if relative is None else relative
    known = {"marked": False, "sure": True, "diameter_mm": 10.0} | facts
    return Scored(
        name,
        group,
        kind,
        part,
        **known,
        scores={OURS: score, PUBLISHED: 1.0},
        relative={OURS: relative, PUBLISHED: 0.0},
    )


def test_healthy_places_lie_in_lung_apart_and_far_from_what_is_known():
    image = slice_of(chest(1))
    places = healthy_places(image, [PLACE])
    region = lung_mask(image.voxels[0], PIXEL)
    assert len(places) >= LEAST_REFERENCES
    assert all(region[place] for place in places)
    assert all(distance_mm(place, PLACE, PIXEL) > 32.0 for place in places)
    assert all(distance_mm(one, other, PIXEL) > 16.0 for one in places for other in places if one != other)
    assert healthy_places(image, [PLACE]) == places


def test_a_mass_at_the_wall_is_looked_at_where_the_region_holds_it():
    middle, radius = (64, 26), 22
    image = slice_of(with_mass(2, middle, radius))
    region = lung_mask(image.voxels[0], PIXEL)
    assert not region[middle]
    place = place_inside(image, middle, 2 * radius * PIXEL_MM)
    assert region[place]
    assert image.voxels[0][place] > -300.0
    assert place_inside(image, PLACE, 10.0) == PLACE
    assert place_inside(image, (2, 2), 10.0) == (2, 2)


def write_labels(folder, rows):
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])


def test_tampered_places_are_told_with_their_kind_and_half(tmp_path):
    rows = [
        ("a.nii.gz", "FM", "1005", 7, 40, 64),
        ("b.nii.gz", "FB", "1438", 9, 88, 64),
        ("a.nii.gz", "FB", "1005", 7, 88, 60),
    ]
    write_labels(tmp_path / "ctgan", rows)
    for name in ("a", "b"):
        write_nifti(tmp_path / "ctgan" / f"{name}.nii.gz", chest(3)[None])
    labels = read_labels(tmp_path / "ctgan")
    spots = list(tampered_spots(tmp_path / "ctgan", labels))
    assert [spot.kind for spot in spots] == ["injected", "removed", "removed"]
    assert [spot.place for spot in spots] == [(64, 40), (64, 88), (60, 88)]
    assert [spot.part == "development" for spot in spots] == [label.development for label in labels]
    for spot in (spots[0], spots[2]):
        assert all(
            distance_mm(place, known, PIXEL) > 32.0 for place in spot.references for known in ((64, 40), (60, 88))
        )


@pytest.fixture
def archive(tmp_path):
    """Patients of every part of a split, one slice each, with a nodule that no reader marked."""
    for seed, name in enumerate(("learn", "calm", "test"), start=1):
        write_nifti(tmp_path / "ct" / f"{name}.nii.gz", with_mass(seed, PLACE, 4)[None])
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["learn*"], "calibrate": ["calm*"], "test": ["test*"]}))
    return tmp_path, split


def test_marked_places_are_nodules_and_those_of_training_have_no_healthy_ones(archive):
    data, split = archive
    marks = [Mark(f"ct/{name}.nii.gz", 0, *PLACE, 19.0, "sure") for name in ("learn", "test")]
    spots = list(authentic_spots(data, split, marks))
    nodules = [(spot.part, spot.place) for spot in spots if spot.kind == "nodule"]
    assert nodules == [("test", PLACE), ("train", PLACE)]
    healthy = [spot for spot in spots if spot.kind == "healthy"]
    assert {spot.part for spot in healthy} <= {"test", "calibrate"}
    assert any(spot.part == "calibrate" for spot in healthy)
    for spot in healthy:
        assert spot.place not in spot.references
        assert len(spot.references) >= LEAST_REFERENCES
        assert spot.part != "test" or distance_mm(spot.place, PLACE, PIXEL) > 32.0


def test_a_mark_outside_its_scan_is_told(archive):
    data, split = archive
    told = []
    spots = list(authentic_spots(data, split, [Mark("ct/test.nii.gz", 3, *PLACE, 9.0, "sure")], on_error=told.append))
    assert not any(spot.kind == "nodule" for spot in spots)
    assert "slice" in str(told[0])


def spot(image, place, references):
    return Spot("one", "patient", "nodule", slice_of(image), place, references, "test")


def test_scores_are_taken_from_the_slices_own_level(tmp_path):
    image = np.zeros((128, 128), np.float32)
    image[5, 5], image[1, 1], image[2, 2], image[3, 3] = 50.0, 10.0, 20.0, 90.0
    detector = Brightness()
    (one,) = score_spots(
        [spot(image, (5, 5), ((1, 1), (2, 2), (3, 3)))], {OURS: Scorer(detector, "a", Ledger(tmp_path / "s"))}
    )
    assert (one.scores[OURS], one.relative[OURS]) == (50.0, 30.0)
    assert detector.asked == 4


def test_without_healthy_places_there_is_no_level(tmp_path):
    by = {OURS: Scorer(Brightness(), "a", Ledger(tmp_path / "s"))}
    image = np.zeros((128, 128), np.float32)
    few, blind, unseen = score_spots(
        [
            spot(image, (5, 5), ((1, 1), (2, 2))),
            spot(image, (5, 5), ((1, 99), (2, 2), (3, 3))),
            spot(image, (5, 99), ((1, 1), (2, 2), (3, 3))),
        ],
        by,
    )
    assert few.scores[OURS] == blind.scores[OURS] == 0.0
    assert np.isnan([few.relative[OURS], blind.relative[OURS], unseen.scores[OURS], unseen.relative[OURS]]).all()


def test_what_was_scored_is_not_scored_again_but_by_another_detector(tmp_path):
    image = np.zeros((128, 128), np.float32)
    one, path = spot(image, (5, 99), ()), tmp_path / "s"
    first, same, other = Brightness(), Brightness(), Brightness()
    for detector, key in ((first, "a"), (same, "a"), (other, "b")):
        (told,) = score_spots([one], {OURS: Scorer(detector, key, Ledger(path))})
        assert math.isnan(told.scores[OURS])
    assert (first.asked, same.asked, other.asked) == (1, 0, 1)


def places():
    """Two injections above every real nodule but one of training; a removal below health."""
    return [
        scored("i1", "1005", "injected", 5.0, "development"),
        scored("i2", "1280", "injected", 4.0, "reserved", relative=-9.0),
        scored("r1", "1438", "removed", 0.5, "reserved"),
        scored("n1", "a", "nodule", 1.0, marked=True, diameter_mm=50.0),
        scored("n2", "a", "nodule", 2.0, "calibrate", sure=False),
        scored("n3", "b", "nodule", 9.0, "train"),
        scored("h1", "a", "healthy", 1.0),
    ]


def by_words(found):
    return {(one.kind, one.half, one.against): one for one in compare(found)}


def test_comparisons_take_the_right_places():
    measured = by_words(places())
    main = measured["injected", "all", HELD_OUT_NODULES]
    assert (main.places, main.scans, main.others, main.patients) == (2, 2, 2, 1)
    assert main.auc[OURS].value == 1.0
    assert main.relative[OURS].value == 0.5
    assert main.auc[PUBLISHED].value == 0.5
    assert measured["injected", "reserved", HELD_OUT_NODULES].relative[OURS].value == 0.0
    others = {
        against: one.others for (kind, half, against), one in measured.items() if (kind, half) == ("injected", "all")
    }
    assert list(others.values()) == [2, 1, 1, 1, 1, 1, 1]
    train = measured["injected", "all", 'real nodules, part "train"']
    assert train.auc[OURS].value == 0.0
    assert next(one for one in measured.values() if one.kind == "removed").auc[OURS].value == 0.0


def test_every_patient_counts_once_however_many_nodules_it_has():
    many = [scored(f"n{index}", "a", "nodule", 9.0) for index in range(9)]
    found = [scored("i", "1005", "injected", 5.0, "reserved"), *many, scored("n", "b", "nodule", 1.0)]
    assert by_words(found)["injected", "all", HELD_OUT_NODULES].auc[OURS].value == 0.5


def test_a_tampered_place_without_a_score_is_missed_and_an_authentic_one_left_out():
    found = [*places(), scored("i3", "1356", "injected", math.nan, "reserved"), scored("n4", "c", "nodule", math.nan)]
    main = by_words(found)["injected", "all", HELD_OUT_NODULES]
    assert main.auc[OURS].value == pytest.approx(2 / 3)
    counted = unscored(found)[OURS]
    assert (counted["injected"], counted["nodule"], counted["removed"]) == (1, 1, 0)


def test_the_page_tells_the_papers_figures_as_the_papers():
    found = [*places(), scored("i3", "1356", "injected", math.nan, "reserved")]
    result = NoduleResult(
        "mine, head typicality", "0" * 64, tuple(compare(found)), unscored(found), ("seen-1",), tuple(found)
    )
    page = nodules_page(result, Provenance("tamperscan bench nodules", "abc"))
    for words in (
        "0.90",
        "0.96",
        "its own figures",
        "head typicality",
        "detector: 1 injected",
        "card names seen-1",
        "no radiologists",
    ):
        assert words in " ".join(page.split()), words
    empty = nodules_page(replace(result, not_held_out=()), Provenance("x", ""))
    assert "Not held out" not in empty
