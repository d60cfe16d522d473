import json
import shutil

import pytest
from dicom_maker import write_series

from tamperscan.bench.cases import AUTHENTIC, Case
from tamperscan.bench.datasets.forged import Origin, origins_of, read_forged
from tamperscan.bench.datasets.images import open_mask, open_scan
from tamperscan.errors import BenchError
from tamperscan.forge.forgery import forge
from tamperscan.forge.method import load_method
from tamperscan.forge.site import Place
from tamperscan.forge.write import RECORD, write_forgery
from tamperscan.scan import read_scan


@pytest.fixture
def folder(tmp_path):
    """One forgery of a series of five slices, in a folder of its own."""
    source = write_series(tmp_path / "authentic")
    scan = read_scan(source)
    made = forge(scan, load_method("smooth"), "remove", Place(2, 9, 11, 5.0), seed=3, region_mm=8.0)
    write_forgery(made, source, tmp_path / "forged")
    return tmp_path / "forged"


def the_record(folder):
    return next(folder.glob("*/" + RECORD))


def change(folder, **values):
    path = the_record(folder)
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_a_forgery_is_a_case(folder):
    (case,) = read_forged(folder, {"authentic": Origin("patient", "Maker")}).cases
    assert (case.generator, case.task, case.modality) == ("smooth", "remove", "CT")
    assert (case.group, case.scanner) == ("patient", "Maker")
    (target,) = case.targets
    assert (target.slice, target.row, target.column, target.kind) == (2, 9, 11, "removed")
    scan = open_scan(case)
    mask = open_mask(case.mask, scan)
    assert mask.shape == scan.shape
    assert mask[2, 9, 11]


def test_without_origins_each_source_is_a_patient(folder):
    assert read_forged(folder).cases[0].group == "authentic"


def test_forgeries_of_other_scans_are_left_out(folder):
    data = read_forged(folder, {"another": Origin("p")})
    assert data.cases == ()
    assert "not among the authentic scans of the test" in data.skipped[0].reason


def test_origins_are_the_authentic_cases(tmp_path):
    cases = [
        Case("a", "p", "CT", AUTHENTIC, None, tmp_path, scanner="S"),
        Case("f", "q", "CT", "gan", "remove", tmp_path),
    ]
    assert origins_of(cases) == {"a": Origin("p", "S")}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"source": {"name": "authentic", "modality": "CT", "shape": [2, 20, 24]}}, "outside the scan of 2 slices"),
        ({"source": {"name": "authentic", "shape": [5, 20, 24]}}, "does not tell its source"),
        ({"source": {"name": "authentic", "modality": "PT", "shape": [5, 20, 24]}}, "is of the modality 'PT'"),
        ({"action": "swap"}, "is no record of a forgery"),
    ],
)
def test_records_that_make_no_sense_are_counted(folder, values, reason):
    change(folder, **values)
    data = read_forged(folder)
    assert data.cases == ()
    assert reason in data.skipped[0].reason


def test_a_forgery_that_is_not_whole_is_counted(folder):
    shutil.rmtree(the_record(folder).parent / "scan")
    data = read_forged(folder)
    assert "scan is missing" in data.skipped[0].reason


def test_a_folder_without_forgeries_is_refused(tmp_path):
    with pytest.raises(BenchError, match="holds no forgery"):
        read_forged(tmp_path)
    with pytest.raises(BenchError, match="is no folder"):
        read_forged(tmp_path / "none")
