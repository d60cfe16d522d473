"""Forged blocks: how volumes are cut, what is forged and remembered, and what is made of the screenings."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from tamperscan.bench.document import Provenance
from tamperscan.bench.volumes import VolumesResult
from tamperscan.bench.volumes_blocks import Block, cut_slices, find_blocks, read_blocks
from tamperscan.bench.volumes_figures import evaluate
from tamperscan.bench.volumes_forging import ForgedBlocks, Made, Order, usable_methods
from tamperscan.bench.volumes_measuring import Measured, Outcome, _told, measure_forgeries
from tamperscan.bench.volumes_page import volumes_page
from tamperscan.errors import BenchError, ForgeError
from tamperscan.scan import read_scan

from .conftest import BrightPlaces
from .phantoms import PIXEL_MM, SLICE_MM, chest_scan, write_nifti

METHODS, _ = usable_methods(["smooth", "nodule"])


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A volume of 25 slices of 4 mm, one too short for a block, and a slice; and one that is no held-out patient's."""
    folder = tmp_path_factory.mktemp("archive")
    for seed, (name, slices) in enumerate({"long": 25, "short": 8, "single": 1, "learn": 12}.items(), start=1):
        write_nifti(folder / "ct" / f"{name}.nii.gz", chest_scan(seed, slices).voxels)
    split = folder / "split.json"
    split.write_text(json.dumps({"train": ["learn*"], "calibrate": ["short*"], "test": ["long*", "single*"]}))
    return folder, split


@pytest.fixture(scope="module")
def blocks(archive):
    return find_blocks(*archive)


@pytest.fixture(scope="module")
def made(tmp_path_factory, blocks):
    out = tmp_path_factory.mktemp("run")
    forged = ForgedBlocks(out, blocks, METHODS)
    forged.make()
    return out, forged


def test_blocks_fit_into_held_out_volumes_and_do_not_overlap(blocks):
    assert [(block.series, block.first, block.count) for block in blocks] == [("long", 2, 10), ("long", 12, 10)]
    assert {block.patient for block in blocks} == {"long*"}
    assert len({block.key for block in blocks}) == 2


def test_a_block_without_lung_is_left_out(tmp_path):
    voxels = chest_scan(1, 20).voxels.copy()
    voxels[10:] = 30.0
    write_nifti(tmp_path / "ct" / "half.nii.gz", voxels)
    (tmp_path / "split.json").write_text(json.dumps({"calibrate": ["half*"], "test": []}))
    assert [block.first for block in find_blocks(tmp_path, tmp_path / "split.json")] == [0]


def test_a_block_holds_the_slices_of_its_series_where_they_were(archive, blocks):
    whole = read_scan(archive[0] / "ct" / "long.nii.gz")
    (_, first), (block, second) = read_blocks(blocks)
    assert np.array_equal(second.voxels, whole.voxels[12:22])
    assert np.allclose(second.affine @ [0, 3, 4, 1], whole.affine @ [12, 3, 4, 1])
    assert second.name == block.name
    assert second.sha256 != first.sha256
    # A volume in one file does not say which of its slices these are.
    assert second.sources == ()
    files = replace(whole, sources=tuple(f"{index}.dcm" for index in range(25)))
    assert cut_slices(files, 12, 2, "x").sources == ("12.dcm", "13.dcm")


def test_few_blocks_come_from_all_series_by_turns(tmp_path):
    for seed, name in enumerate(("one", "two"), start=1):
        write_nifti(tmp_path / "ct" / f"{name}.nii.gz", chest_scan(seed, 30).voxels)
    (tmp_path / "split.json").write_text(json.dumps({"calibrate": ["one*"], "test": ["two*"]}))
    few = find_blocks(tmp_path, tmp_path / "split.json", most=3)
    assert [(block.series, block.first) for block in few] == [("two", 0), ("two", 10), ("one", 10)]


def test_each_block_is_forged_once_by_each_method_as_far_as_it_can(made):
    _, forged = made
    told = [(one.order.block.first, one.order.method.name, one.order.action) for one in forged.made() if one.place]
    assert told == [
        (2, "smooth", "remove"),
        (2, "nodule", "inject"),
        (12, "smooth", "remove"),
        (12, "nodule", "inject"),
    ]
    assert len({one.order.seed for one in forged.made()}) == 2
    assert not forged.missing
    assert forged.seconds_left() == 0.0


def test_a_stored_forgery_differs_around_its_place_only(made, blocks):
    _, forged = made
    scans = dict(read_blocks(blocks))
    for one in forged.made():
        before = scans[one.order.block]
        after = forged.tampered(one, before)
        changed = np.argwhere(after.voxels != before.voxels)
        assert len(changed)
        assert (np.abs((changed - one.place) * before.spacing_mm) <= 16.0 + SLICE_MM).all()
        assert after.sources == before.sources
        assert after.name.startswith("forged_")


def test_an_ended_run_goes_on_where_it_was(tmp_path, blocks, made):
    again = ForgedBlocks(made[0], blocks, METHODS)
    assert not again.missing
    assert ForgedBlocks(made[0], blocks, METHODS, seed=1).missing
    order = again.orders[0]
    (made[0] / "forged" / "smooth" / f"{order.key}.npz").rename(tmp_path / "away.npz")
    assert ForgedBlocks(made[0], blocks, METHODS).missing == [order]
    with pytest.raises(BenchError, match="forge it anew"):
        again.tampered(Made(order, (1, 2, 3), ""), next(scan for _, scan in read_blocks(blocks)))
    (tmp_path / "away.npz").rename(made[0] / "forged" / "smooth" / f"{order.key}.npz")


class Refusing:
    name, settings = "copymove", {}

    def __init__(self, times):
        self.times = times

    def check(self, site, action):
        self.times -= 1
        if self.times >= 0:
            raise ForgeError("no source")

    def alter(self, site, action, rng):
        return site.voxels + 10.0 * site.alterable()


def test_a_method_that_can_not_work_at_a_place_gets_two_more(tmp_path, blocks):
    patient, stubborn = (ForgedBlocks(tmp_path / str(times), blocks[:1], [Refusing(times)]) for times in (2, 99))
    for forged in (patient, stubborn):
        forged.make()
    assert patient.made()[0].place is not None
    assert [one.problem for one in stubborn.made()] == ["no source", "no source"]
    assert not stubborn.missing


def test_methods_that_do_not_exist_are_refused():
    with pytest.raises(ForgeError, match="no forging method 'magic'"):
        usable_methods(["magic"])


class Counting(BrightPlaces):
    """Suspects what is bright, and counts how often it was asked."""

    def __init__(self):
        self.asked = []

    def screen(self, scan):
        self.asked.append(scan.shape[0])
        lung = replace(scan, voxels=np.where(scan.voxels > 39.0, 0.0, scan.voxels))
        return super().screen(lung)


def test_blocks_and_slices_are_screened_once(made):
    out, forged = made
    first, second = Counting(), Counting()
    told = list(measure_forgeries(first, "key", forged, out))
    assert len(told) == 4
    slices = {(one.block.first, one.made.place[0]) for one in told}
    assert sorted(first.asked) == [1] * (4 + len(slices)) + [10] * (4 + 2)
    again = list(measure_forgeries(second, "key", forged, out))
    assert second.asked == []
    assert [one.whole.score for one in again] == [one.whole.score for one in told]
    list(measure_forgeries(second, "other", forged, out))
    assert len(second.asked) == len(first.asked)


def outcome(score, flagged=False, off_mm=math.nan):
    return Outcome(score, flagged, off_mm, 0.1)


def measured(patient, after, before, method="gan", action="inject", place=(3, 4, 5), first=0):
    block = Block(patient, None, patient, first, 10, f"{patient}{first}")
    order = Order(block, SimpleNamespace(name=method), action, 0, f"{patient}{method}{action}{first}")
    return Measured(Made(order, place, ""), after, outcome(0.0), before, outcome(0.0))


def test_blocks_are_compared_with_what_they_were_and_slices_with_slices():
    found = [
        measured("a", outcome(3.0, True, 5.0), outcome(1.0)),
        measured("b", outcome(2.0, False, 30.0), outcome(1.5, True)),
        measured("b", outcome(9.0, True, 1.0), outcome(1.5, True), "smooth", "remove"),
    ]
    gan, smooth = evaluate(found)
    assert (gan.method, gan.action, gan.related, gan.patients) == ("gan", "inject", False, 2)
    assert (smooth.related, smooth.whole.scans) == (True, 1)
    assert gan.whole.auc.value == 1.0
    assert gan.centre.auc.value == 0.5
    assert gan.gain.value == 0.5
    assert (gan.whole.flagged.value, gan.whole.localised.value) == (0.5, 0.5)
    assert gan.whole.false_alarms.value == 0.5


def test_patients_count_alike():
    many = [measured("a", outcome(3.0), outcome(1.0), first=index) for index in range(5)]
    (gan,) = evaluate([*many, measured("b", outcome(0.0), outcome(1.0))])
    assert gan.whole.auc.value == 0.5
    assert gan.whole.authentic == 6


def test_a_block_with_several_forgeries_of_a_kind_is_one_negative():
    (gan,) = evaluate(
        [measured("a", outcome(3.0), outcome(1.0)), measured("a", outcome(2.0), outcome(1.0), place=(4, 4, 5))]
    )
    assert (gan.whole.scans, gan.whole.authentic) == (2, 1)
    assert gan.centre.authentic == 2


def test_a_forgery_without_a_score_is_missed_and_an_authentic_block_left_out():
    nothing = outcome(math.nan, None)
    (gan,) = evaluate([measured("a", nothing, outcome(1.0)), measured("b", outcome(2.0, True, 1.0), nothing)])
    assert gan.whole.auc.value == 0.5
    assert gan.whole.without == (1, 1)
    assert gan.whole.authentic == 1
    assert gan.whole.flagged.value == 0.5
    assert gan.whole.false_alarms.value == 0.0


def test_the_page_keeps_akin_methods_apart_and_says_how_few_patients_there_are():
    found = [
        measured("a", outcome(3.0, True, 5.0), outcome(1.0)),
        measured("b", outcome(9.0, True, 1.0), outcome(1.5), "smooth", "remove"),
    ]
    result = VolumesResult("mine", "0" * 64, {"a": 2, "b": 1}, tuple(evaluate(found)), {"gan remove: no": 2}, ("s",))
    page = volumes_page(result, Provenance("tamperscan bench volumes", "abc"))
    unlike, akin = page.split("### Methods akin")
    assert "| gan, inject |" in unlike
    assert "smooth, remove" not in unlike
    assert "| smooth, remove |" in akin
    for words in (
        "With 2 patients they are wide",
        "3 blocks of about 40 mm",
        "- 2 x gan remove: no",
        "calibrated on s",
    ):
        assert words in " ".join(page.split()), words


class Found(BrightPlaces):
    """Finds one place, whatever is brightest elsewhere."""

    def screen(self, scan):
        screening = super().screen(scan)
        finding = replace(screening.findings[0], centre=(2, 40, 30))
        return replace(screening, findings=(finding,))


def test_the_first_finding_is_what_is_compared_with_the_place_and_else_the_peak():
    scan = chest_scan(1, 4)
    bright = replace(scan, voxels=np.zeros_like(scan.voxels))
    bright.voxels[0, 64, 40] = 100.0
    place = (1, 40, 30)
    assert _told(Found().screen(bright), place)["off_mm"] == pytest.approx(SLICE_MM)
    dim = replace(bright, voxels=bright.voxels * 0.3)
    assert _told(BrightPlaces().screen(dim), (0, 64, 45))["off_mm"] == pytest.approx(5 * PIXEL_MM)
    assert _told(BrightPlaces().screen(dim), None)["off_mm"] is None
    air = replace(scan, voxels=np.full_like(scan.voxels, -1000.0))
    assert _told(BrightPlaces().screen(air), place) == {"score": None, "flagged": None, "off_mm": None, "seconds": 0.0}
