"""Measurements on disk: what is read is what was measured, and what was measured is not measured again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from tamperscan.detect.calibrating import Fits, calibrate_weights
from tamperscan.detect.checkpoints import Checkpoints
from tamperscan.detect.groups import groups_of
from tamperscan.detect.measured import MeasuredScan
from tamperscan.detect.measuring import ScanMeasurer
from tamperscan.errors import OutputError
from tamperscan.scan import PlannedScan
from tamperscan.scan.places import Place

from .acquisitions import acquisition
from .phantom import chest_scan, lossy, made_up_windows

PATIENTS = 6


def measured(*seeds, odds=True):
    slices = tuple(made_up_windows(seed) for seed in seeds)
    places = []
    for one in slices:
        rng = np.random.default_rng(len(places))
        own = rng.normal(size=(2, *one.inside.shape)).astype(np.float32)
        own[:, ~np.roll(one.inside, 1, axis=0)] = np.nan  # what the head looks at is not quite what was measured
        places.append(own)
    return MeasuredScan("scan", slices, (2.5, 0.7, 0.8), acquisition(), tuple(places) if odds else ())


def maps_inside(scan):
    return [
        np.concatenate([getattr(each, name)[:, each.inside] for name in ("energy", "whiteness", "covariates")])
        for each in scan.slices
    ]


@pytest.fixture
def kept(untrained, tmp_path):
    return Checkpoints(tmp_path / "measured", untrained, "a runtime")


@pytest.mark.parametrize("odds", [True, False])
def test_what_is_read_is_what_was_measured(kept, odds):
    scan, place = measured(1, 2, 3, odds=odds), kept.place(["a.dcm"])
    stored = kept.keep(place, chest_scan(), scan, ())
    again = kept.find(place)
    assert again == stored
    assert (again.slices, again.windows, again.reasons) == (3, scan.windows, ())
    loaded = again.load()
    assert loaded.spacing_mm == scan.spacing_mm
    assert repr(loaded.acquisition) == repr(scan.acquisition)  # not rounded
    for one, other in zip(scan.slices, loaded.slices, strict=True):
        np.testing.assert_array_equal(one.inside, other.inside)
    for one, other in zip(maps_inside(scan), maps_inside(loaded), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(loaded.odds) == len(scan.odds)
    for one, other in zip(scan.odds, loaded.odds, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.learning().centred, scan.learning().centred)


def test_a_scan_that_can_not_be_used_is_remembered(kept):
    place = kept.place(["a.dcm"])
    kept.keep(place, chest_scan(), None, ("no lung",))
    assert kept.find(place).reasons == ("no lung",)
    assert kept.find(place).slices == 0


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 cut off"])
def test_a_damaged_file_counts_as_missing(kept, damage):
    place = kept.place(["a.dcm"])
    stored = kept.keep(place, chest_scan(), measured(1), ())
    place.write_bytes(damage)
    assert kept.find(place) is None
    with pytest.raises(OutputError, match="was damaged since"):
        stored.load()


def test_a_file_that_changed_is_another_scan(kept, untrained, tmp_path):
    source = tmp_path / "a.dcm"
    source.write_bytes(b"one")
    first = kept.place([str(source)])
    assert kept.place([str(source)]) == first
    source.write_bytes(b"other")
    assert kept.place([str(source)]) != first
    assert Checkpoints(kept.folder, untrained, "another runtime").place(["b.dcm"]) != kept.place(["b.dcm"])


def test_a_sample_is_seeded_and_weighs_as_much(kept):
    stored = kept.keep(kept.place(["a.dcm"]), chest_scan(), measured(1, 2), ())
    some = stored.learning(50)
    assert (len(some.terms), some.windows) == (50, stored.windows)
    np.testing.assert_array_equal(some.centred, kept.find(stored.path).learning(50).centred)


def test_memory_is_bounded_and_little_moves():
    patients = {f"patient {number}": [measured(number, number + 50)] for number in range(8)}
    every, some = Fits(patients).on(patients), Fits(patients, most=1200).on(patients)
    centred = measured(99).learning()
    ours, others = (each.z_scores(centred.centred, centred.terms) for each in (every, some))
    assert np.nanmedian(np.abs(ours - others)) < 0.25


def planned(seed, decoded, folder):
    def read():
        decoded.append(seed)
        return replace(chest_scan(seed, 2), name=f"scan-{seed}", metadata={"ConvolutionKernel": "AB"[seed % 2]})

    return PlannedScan(f"scan-{seed}", (Place(str(folder / f"{seed}.dcm")),), read)


def test_a_killed_calibration_goes_on_to_the_same_result(untrained, tmp_path):
    decoded = []

    def scans(killed_at=None):
        for seed in range(PATIENTS):
            if seed == killed_at:
                raise KeyboardInterrupt
            yield f"patient {seed}", planned(seed, decoded, tmp_path)

    def calibrate(out, killed_at=None):
        return calibrate_weights(untrained, scans(killed_at), out, checkpoints=tmp_path / "measured", threads=1)

    with pytest.raises(KeyboardInterrupt):
        calibrate(tmp_path / "out", killed_at=4)
    assert decoded == [0, 1, 2, 3]
    made = calibrate(tmp_path / "out")
    assert decoded == list(range(PATIENTS))
    in_memory = [(f"patient {seed}", planned(seed, [], tmp_path).read()) for seed in range(PATIENTS)]
    plain = calibrate_weights(untrained, in_memory, tmp_path / "plain", threads=1)
    for name in made.card.files:
        assert (made.folder / name).read_bytes() == (plain.folder / name).read_bytes()
    by_kernel = [group for group in made.card.calibration["groups"] if group["kind"] == "kernel"]
    assert [(group["name"], group["patients"]) for group in by_kernel] == [("A", 3), ("B", 3)]


def test_scans_in_memory_are_told_apart_by_more_than_pixels(untrained, tmp_path):
    measurer, scan = ScanMeasurer(untrained, tmp_path, threads=1), chest_scan(1, 1)
    assert measurer.place(scan) == measurer.place(replace(scan))
    assert len({measurer.place(each) for each in (scan, lossy(scan), replace(scan, modality="MR"))}) == 3


def test_groups_tell_how_many_and_compared_with_whom(kept):
    from tamperscan.detect.calibration import calibrate

    rng, patients, scores = np.random.default_rng(0), {}, []
    for number in range(60):
        grain = 0.1 if number < 30 else 0.6
        header = {"Manufacturer": "M", "ConvolutionKernel": "sharp" if number < 30 else "soft"}
        scan = replace(measured(number, odds=False), acquisition=acquisition(grain=grain, slice_mm=1.0))
        source = replace(chest_scan(1, 1), metadata=header)
        patients[str(number)] = [kept.keep(kept.place([str(number)]), source, scan, ())]
        scores.append([(rng.normal(size=3) + (number >= 57) * 9, 1.0)])
    calibration = calibrate(scores, [[scan.acquisition for scan in scans] for scans in patients.values()])
    groups = {(group.kind, group.name): group for group in groups_of(patients, calibration)}
    assert groups["scanner", "M"].patients == 60
    assert groups["thickness", "up to 1.5 mm"].own == 60
    sharp, soft = groups["kernel", "sharp"], groups["kernel", "soft"]
    assert (sharp.patients, sharp.own, sharp.least_p) == (30, 30, pytest.approx(1 / 31))
    assert (sharp.alarms, soft.alarms) == (0, 3)
    assert not soft.unlike
    assert json.dumps(sharp.as_dict())
    some = calibrate(scores[:40], [[scan.acquisition for scan in scans] for scans in list(patients.values())[:40]])
    assert groups_of(patients, some)[0].patients == 40  # others were set aside
