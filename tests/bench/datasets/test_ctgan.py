from collections import Counter

import pytest
from dicom_maker import hounsfield, write_slice

from tamperscan.bench.cases import AUTHENTIC, Target
from tamperscan.bench.datasets.ctgan import read_ctgan
from tamperscan.errors import BenchError
from tamperscan.scan import read_scan

HEAD = "type,uuid,slice,x,y\n"


def release(folder, number, count=6, missing=()):
    """A scan as the release has it: files named by slices that count from 0 at the feet."""
    for index in range(count):
        if index not in missing:
            write_slice(
                folder / f"{index}.dcm",
                hounsfield(1, seed=index)[0],
                ImagePositionPatient=[0, 0, 2.0 * index],
                InstanceNumber=index,
                SeriesInstanceUID=f"1.2.{number}",
            )


@pytest.fixture
def whole(tmp_path):
    release(tmp_path / "CT_Scans" / "EXP1_blind" / "7", 7, missing=[1])
    release(tmp_path / "CT_Scans" / "EXP1_blind" / "8", 8)
    release(tmp_path / "CT_Scans" / "EXP2_open" / "7", 9)
    (tmp_path / "labels_exp1.csv").write_text(
        HEAD + "FB,7,4,3,5\nTM,7,2,9,8\nFM,7,0,1,2\nTB,8,1,6,7\nFB,7,1,3,5\nFB,6,1,3,5\nXX,8,1,3,5\nFB,8,5,30,5\n"
    )
    (tmp_path / "labels_exp2.csv").write_text(HEAD + "FM,7,1,3,5\n")
    return tmp_path


def test_whole_scans(whole):
    data = read_ctgan(whole)
    cases = {case.name: case for case in data.cases}
    assert set(cases) == {"ctgan_exp1_7_inject", "ctgan_exp1_7_remove", "ctgan_exp1_8", "ctgan_exp2_7"}
    assert cases["ctgan_exp2_7"].targets == (Target(1, 5, 3, "injected"),)
    assert cases["ctgan_exp2_7"].scan.parent.name == "EXP2_open"
    assert cases["ctgan_exp1_7_remove"].group == cases["ctgan_exp2_7"].group == "7"
    assert (cases["ctgan_exp1_8"].generator, cases["ctgan_exp1_8"].task) == (AUTHENTIC, None)
    assert cases["ctgan_exp1_8"].targets == (Target(1, 7, 6, "healthy"),)


def test_slices_are_found_by_the_name_of_their_file(whole):
    """File 1 is missing, so that slice 4 is the fourth."""
    case = next(case for case in read_ctgan(whole).cases if case.name == "ctgan_exp1_7_remove")
    (removed,) = [target for target in case.targets if target.kind == "removed"]
    assert (removed.slice, removed.row, removed.column) == (3, 5, 3)
    assert (read_scan(case.scan).voxels[3] == hounsfield(1, seed=4)[0]).all()


def test_untouched_places_of_a_tampered_scan_go_with_one_case(whole):
    kinds = Counter(
        target.kind
        for case in read_ctgan(whole).cases
        for target in case.targets
        if case.name.startswith("ctgan_exp1_7")
    )
    assert kinds == {"removed": 2, "injected": 2, "nodule": 1}


def test_rows_that_make_no_sense_are_counted(whole):
    reasons = {row.row.split()[-1]: row.reason for row in read_ctgan(whole).skipped}
    assert reasons == {
        "6": "has the slice 1, which scan '7' has no file for",
        "7": "names the scan '6', of which there are 0 folders",
        "8": "has the type 'XX', which is none of FB, FM, TB, TM",
        "9": "has the place slice 5, row 5, column 30 outside the scan of 6 slices of 20 x 24 pixels",
    }


def single(folder, lines):
    for name in ("5_1.dcm", "5_9.dcm", "6_1.dcm"):
        write_slice(folder / name)
    (folder / "labels.csv").write_text("file,type,scan,slice,x,y\n" + "\n".join(lines) + "\n")
    return read_ctgan(folder)


def test_single_slices(tmp_path):
    data = single(tmp_path, ["5_1.dcm,FB,5,1,3,4", "5_9.dcm,FB,5,9,7,8", "6_1.dcm,FM,6,1,2,2"])
    first, _, third = data.cases
    assert first.targets == (Target(0, 4, 3, "removed"),)
    assert (first.task, third.task, first.group, first.generator) == ("remove", "inject", "5", "ct-gan")
    assert data.skipped == ()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("7_1.dcm,FB,7,1,3,4", "does not exist"),
        ("../5_1.dcm,FB,5,1,3,4", "outside the folder"),
        ("5_1.dcm,FB,5,1,3,400", "outside the scan"),
        ("5_1.dcm,FB,5,1,three,4", "no whole number"),
        ("5_1.dcm,FB,5,,3,4", "has no slice"),
        (",FB,5,1,3,4", "has no file"),
        ("5_1.dcm,FX,5,1,3,4", "has the type 'FX'"),
    ],
)
def test_bad_rows_of_single_slices(tmp_path, line, reason):
    data = single(tmp_path, ["6_1.dcm,FM,6,1,2,2", line])
    assert len(data.cases) == 1
    assert reason in data.skipped[0].reason
    assert data.skipped[0].row == "labels.csv line 3"


def test_without_tables_nothing_can_be_read(tmp_path):
    with pytest.raises(BenchError, match=r"holds no labels\*\.csv"):
        read_ctgan(tmp_path)
    (tmp_path / "labels.csv").write_text("type,uuid,slice,x\nFB,1,2,3\n")
    with pytest.raises(BenchError, match="has no column y"):
        read_ctgan(tmp_path)


def test_the_real_slices(real_scans):
    data = read_ctgan(real_scans / "ctgan")
    assert Counter(case.task for case in data.cases) == {"remove": 40, "inject": 22}
    assert len({case.group for case in data.cases}) == 35
    assert data.skipped == ()
