import shutil
from dataclasses import replace

import pytest

from tamperscan.bench.cases import AUTHENTIC, Case, Target
from tamperscan.bench.ledger import Ledger
from tamperscan.bench.plan import Plan, preset_named
from tamperscan.bench.prepare import ForgedSet
from tamperscan.bench.protocols.evidence import CaseFacts
from tamperscan.errors import ForgeError
from tamperscan.forge.folder import read_forgeries

from .phantoms import PIXEL_MM, PLACE, SLICE_MM, chest_scan, write_nifti

SPACING = (SLICE_MM, PIXEL_MM, PIXEL_MM)
FEW = replace(preset_named("small"), methods=("smooth", "copymove"), places=2, volumes=None, singles=None)


@pytest.fixture
def authentic(tmp_path):
    """A volume of nine slices and a single one: (cases, facts)."""
    made = {}
    for seed, (name, slices) in enumerate({"volume": 9, "single": 1}.items(), start=1):
        path = write_nifti(tmp_path / f"{name}.nii.gz", chest_scan(seed, slices).voxels)
        case = Case(name, f"patient of {name}", "CT", AUTHENTIC, None, path, (Target(0, *PLACE, "healthy"),))
        made[case] = CaseFacts((slices, 128, 128), SPACING)
    return list(made), {case.name: facts for case, facts in made.items()}


def forged_set(tmp_path, authentic, preset=FEW):
    plan = Plan(out=tmp_path / "out", data=tmp_path, splits={}, preset=preset)
    return ForgedSet(plan, *authentic)


def test_every_method_gets_the_same_places(tmp_path, authentic):
    forged = forged_set(tmp_path, authentic)
    forged.make(forged.missing)
    result = forged.result()
    records = [one.record for folder in result.folders for one in read_forgeries(folder)]
    removals = [record for record in records if record.action == "remove"]
    by_method = {
        name: {(one.source["name"], one.seed): one.place for one in removals if one.method == name}
        for name in ("smooth", "copymove")
    }
    shared = by_method["smooth"].keys() & by_method["copymove"].keys()
    assert ("volume", 0) in shared
    assert all(by_method["smooth"][key] == by_method["copymove"][key] for key in shared)
    assert not any(record.method == "smooth" and record.action == "inject" for record in records)


def test_a_volume_gets_several_places_and_a_slice_one(tmp_path, authentic):
    orders = forged_set(tmp_path, authentic).orders
    assert sum(not order.planar for order in orders) == 2 * 3
    assert sum(order.planar for order in orders) == 3


def test_what_is_there_is_not_made_again(tmp_path, authentic):
    first = forged_set(tmp_path, authentic)
    first.make(first.missing[:3])
    second = forged_set(tmp_path, authentic)
    assert second.missing == [
        order for order in second.orders if order.key not in {one.key for one in first.orders[:3]}
    ]
    second.make(second.missing)
    assert forged_set(tmp_path, authentic).missing == []


def test_one_that_was_taken_away_is_made_again(tmp_path, authentic):
    forged = forged_set(tmp_path, authentic)
    forged.make(forged.missing)
    shutil.rmtree(forged.result().folders[0])
    assert len(forged.missing) == 1


def test_what_can_not_be_done_is_skipped_with_its_reason_and_not_tried_again(tmp_path, authentic):
    """A single slice of air holds nothing to remove."""
    cases, facts = authentic
    scan = chest_scan(3)
    scan.voxels[:] = -1000
    path = write_nifti(tmp_path / "air.nii.gz", scan.voxels)
    cases = [*cases, replace(cases[1], name="air", scan=path)]
    forged = forged_set(tmp_path, (cases, {**facts, "air": facts["single"]}))
    forged.make(forged.missing)
    result = forged.result()
    assert forged.missing == []
    assert {skipped.row for skipped in result.skipped} >= {"smooth remove air", "copymove remove air"}
    assert all(skipped.reason for skipped in result.skipped)
    assert not any("air" in folder.name for folder in result.folders)


def test_a_method_without_weights_is_skipped(tmp_path, authentic):
    forged = forged_set(tmp_path, authentic, replace(FEW, methods=("latent", "smooth")))
    assert {order.method.name for order in forged.orders} == {"smooth"}
    assert [skipped.row for skipped in forged.result().skipped] == ["method latent"]


def test_a_method_that_does_not_exist_is_told(tmp_path, authentic):
    with pytest.raises(ForgeError, match="no forging method 'magic'"):
        forged_set(tmp_path, authentic, replace(FEW, methods=("magic",)))


def test_the_time_left_is_that_of_the_first_of_each_kind_times_their_number(tmp_path, authentic):
    forged = forged_set(tmp_path, authentic)
    left = forged.seconds_left()
    ledger = Ledger(tmp_path / "out" / "forged" / "orders.jsonl")
    assert len(ledger) == 4
    took = {(one.method.name, one.planar): ledger[one.key]["seconds"] for one in forged.orders if one.key in ledger}
    assert left == pytest.approx(sum(took[one.method.name, one.planar] for one in forged.missing))
    assert len(forged.missing) == len(forged.orders) - 4


def test_few_scans_are_few(tmp_path, authentic):
    orders = forged_set(tmp_path, authentic, replace(FEW, volumes=0)).orders
    assert {order.case.name for order in orders} == {"single"}
