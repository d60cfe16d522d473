import json
from dataclasses import replace

import pytest

from tamperscan.bench.cases import AUTHENTIC, Case
from tamperscan.bench.datasets.rows import DataSet
from tamperscan.bench.gather import (
    AUTHENTIC_NAME,
    CTGAN_NAME,
    FORGED_NAME,
    Authentic,
    count_scans,
    gather,
    modalities_of,
    read_parts,
)
from tamperscan.bench.prepare import Prepared
from tamperscan.errors import BenchError, TrainingError
from tamperscan.forge.forgery import forge
from tamperscan.forge.site import Place
from tamperscan.forge.write import write_forgery
from tamperscan.scan import read_scan

from .phantoms import PLACE, chest_scan, write_nifti
from .toy_run import plan_of, prepare
from .toys import Flatten

NOTHING = Prepared((), ())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("gathered"))


@pytest.fixture(scope="module")
def authentic(folder):
    return read_parts(plan_of(folder), ["CT"])


def test_every_scan_is_in_the_part_of_its_patient(folder, authentic):
    assert {case.name for case in authentic.test.cases} == {"test-1", "test-2"}
    assert {case.name for case in authentic.calibration.cases} == {"calm-1", "calm-2", "calm-3"}
    assert authentic.learned_from == {"learn-1", "learn-2"}
    assert count_scans(plan_of(folder), "CT") == 7
    assert count_scans(plan_of(folder), "CT", ("train",)) == 2


def test_each_scan_is_told(folder):
    told = []
    read_parts(plan_of(folder), ["CT"], told.append)
    assert len(told) == 7


def test_forged_scans_have_the_patient_of_their_source(folder, authentic):
    sets = gather(plan_of(folder), ["CT"], authentic, NOTHING).sets
    forged = sets[FORGED_NAME]
    assert {case.group for case in forged.cases} == {"test-1*", "test-2*"}
    assert len(forged.cases) == 4
    assert {case.name for case in sets[AUTHENTIC_NAME].cases} == {"test-1", "test-2"}


@pytest.mark.parametrize(("source", "measured"), [("learn-1", False), ("calm-1", False), ("stranger", True)])
def test_forgeries_of_what_was_learned_from_are_left_out(folder, authentic, tmp_path, source, measured):
    path = folder / "data" / "ct" / f"{source}.nii.gz"
    if source == "stranger":
        path = write_nifti(tmp_path / "stranger.nii.gz", chest_scan(9).voxels)
    write_forgery(forge(read_scan(path), Flatten(), "remove", Place(0, *PLACE)), path, tmp_path / "forged")
    data = gather(plan_of(folder, forged=(tmp_path / "forged",)), ["CT"], authentic, NOTHING).sets[FORGED_NAME]
    assert len(data.cases) == measured
    assert len(data.skipped) == (not measured)


def test_a_name_is_taken_once(folder, authentic):
    doubled = gather(plan_of(folder, forged=(folder / "flattened",) * 2), ["CT"], authentic, NOTHING)
    data = doubled.sets[FORGED_NAME]
    assert len(data.cases) == 4
    assert {skipped.reason for skipped in data.skipped} == {"has the name of another case"}


def test_other_modalities_are_left_out(folder, authentic):
    mr = Case("m", "p", "MR", AUTHENTIC, None, folder)
    mixed = replace(authentic, test=replace(authentic.test, cases=(*authentic.test.cases, mr)))
    data = gather(plan_of(folder), ["CT"], mixed, NOTHING).sets[AUTHENTIC_NAME]
    assert "m" not in {case.name for case in data.cases}
    assert data.skipped[-1].reason == "is MR, which is not measured"


def test_ctgan_is_found_in_the_data_and_few_are_few(real_scans, tmp_path):
    (tmp_path / "ctgan").symlink_to(real_scans / "ctgan")
    plan = plan_of(tmp_path, data=tmp_path, forged=())
    plan = replace(plan, preset=replace(plan.preset, ctgan_scans=2))
    nobody = Authentic(DataSet(()), DataSet(()), frozenset(), frozenset())
    cases = gather(plan, ["CT"], nobody, NOTHING).sets[CTGAN_NAME].cases
    assert sorted(case.task for case in cases) == ["inject", "inject", "remove", "remove"]


def test_which_modalities_there_are(folder, tmp_path):
    plan = plan_of(folder)
    assert modalities_of(plan) == ["CT"]
    everything = replace(plan, preset=replace(plan.preset, modalities=None))
    assert modalities_of(everything) == ["CT"]
    (tmp_path / "mr").mkdir()
    (tmp_path / "mr-split.json").write_text(json.dumps({}))
    both = replace(everything, data=tmp_path, splits={**plan.splits, "MR": tmp_path / "mr-split.json"})
    assert modalities_of(both) == ["MR"]
    with pytest.raises(BenchError, match="no authentic CT scans"):
        modalities_of(replace(both, preset=plan.preset))


def test_a_split_without_a_part_is_told(folder, tmp_path):
    (tmp_path / "split.json").write_text(json.dumps({"test": []}))
    with pytest.raises(TrainingError, match="no part"):
        read_parts(plan_of(folder, splits={"CT": tmp_path / "split.json"}), ["CT"])
