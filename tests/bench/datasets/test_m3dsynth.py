import numpy as np
import pytest
from PIL import Image

from tamperscan.bench.cases import AUTHENTIC, Target
from tamperscan.bench.datasets.m3dsynth import read_m3dsynth
from tamperscan.errors import BenchError

HEAD = "img_id,ty,mod,orig_id,sdir_id,coord_z,coord_y,coord_x"
GOOD = "rem_1,rem,cycle,LIDC-IDRI-0003,7,1,5,9"


def save(folder, count=3):
    folder.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.full((20, 30), 100, np.uint16)).save(folder / f"slide{index:04d}.tiff")


@pytest.fixture
def release(tmp_path):
    for path in ("cycle/scan/rem_1", "cycle/label/rem_1", "diffusion/scan/inj_2", "real/scan/inj_2", "real/scan/rem_1"):
        save(tmp_path / path)
    (tmp_path / "cycle" / "scan" / "empty").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "LIDC.csv").write_text(
        "orig_id,sdir_id,spacing_z,spacing_y,spacing_x,dicom\nLIDC-IDRI-0003,7,2.5,0.7,0.7,x\nLIDC-IDRI-0004,8,-1,1,1,x\n"
    )
    (tmp_path / "data" / "sets.csv").write_text("orig_id,set\nLIDC-IDRI-0003,test\nLIDC-IDRI-0004,train\n")
    return tmp_path


def read(release, *lines, **options):
    (release / "data" / "data.csv").write_text("\n".join([HEAD, *lines]) + "\n")
    return read_m3dsynth(release, **options)


def test_tampered_and_real_scans(release):
    removed, injected, before, room = read(
        release,
        GOOD,
        "inj_2,inj,diffusion,LIDC-IDRI-0003,7,0,1,2",
        "rem_1,rem,real,LIDC-IDRI-0003,7,1,5,9",
        "inj_2,inj,real,LIDC-IDRI-0003,7,0,1,2",
    ).cases
    assert (removed.generator, removed.task, removed.group) == ("m3dsynth-cycle", "remove", "LIDC-IDRI-0003")
    assert removed.targets == (Target(1, 5, 9, "removed"),)
    assert removed.mask == release / "cycle" / "label" / "rem_1"
    assert removed.spacing_mm == (2.5, 0.7, 0.7)
    assert (injected.generator, injected.task, injected.mask) == ("m3dsynth-diffusion", "inject", None)
    assert (before.generator, before.task) == (AUTHENTIC, None)
    assert before.targets[0].kind == "nodule"
    assert room.targets[0].kind == "healthy"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("rem_9,rem,cycle,LIDC-IDRI-0003,7,1,5,9", "does not exist"),
        ("empty,rem,cycle,LIDC-IDRI-0003,7,1,5,9", "folder without slices"),
        ("rem_1,rem,cycle,LIDC-IDRI-0003,7,3,5,9", "outside the scan of 3 slices of 20 x 30"),
        ("rem_1,rem,cycle,LIDC-IDRI-0003,7,a,5,9", "no whole number"),
        ("rem_1,rem,other,LIDC-IDRI-0003,7,1,5,9", "unknown kind 'rem' or generator 'other'"),
        ("rem_1,add,cycle,LIDC-IDRI-0003,7,1,5,9", "unknown kind 'add'"),
        ("rem_1,rem,cycle,LIDC-IDRI-0003,8,1,5,9", "spacing LIDC.csv does not tell"),
        ("rem_1,rem,cycle,LIDC-IDRI-0004,8,1,5,9", "spacing LIDC.csv does not tell"),
    ],
)
def test_rows_that_make_no_sense_are_counted(release, line, reason):
    data = read(release, GOOD, line)
    assert len(data.cases) == 1
    assert reason in data.skipped[0].reason


def test_patients_that_were_learned_from_are_left_out(release):
    data = read(release, GOOD, without={"LIDC-IDRI-0003"})
    assert data.cases == ()
    assert "trained or calibrated on" in data.skipped[0].reason


def test_parts(release):
    other = "rem_1,rem,cycle,LIDC-IDRI-0004,8,1,5,9"
    assert len(read(release, GOOD, other, part="test").cases) == 1
    with pytest.raises(BenchError, match=r"no row of data\.csv is of the part 'valid'"):
        read(release, GOOD, other, part="valid")


def test_without_tables_nothing_can_be_read(tmp_path):
    with pytest.raises(BenchError, match=r"data\.csv"):
        read_m3dsynth(tmp_path)
