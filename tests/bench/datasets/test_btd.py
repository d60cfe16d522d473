import numpy as np
import pytest
from PIL import Image

from tamperscan.bench.cases import AUTHENTIC, Target
from tamperscan.bench.datasets.btd import CT_GAN, STABLE_DIFFUSION, read_btd
from tamperscan.errors import BenchError

CT_HEAD = "path,x,y,type,CTGAN-CT-injection,SD-CT-injection\n"


def save_ct(folder, name, shape=(20, 30)):
    path = folder / "CT" / "injection" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.full(shape, -900.0, np.float32))


def save_mr(folder, name):
    path = folder / "MRI" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(path)


def ct_table(folder, *lines):
    (folder / "CT" / "injection").mkdir(parents=True, exist_ok=True)
    (folder / "CT" / "injection" / "CT_injection.csv").write_text(CT_HEAD + "\n".join(lines) + "\n")
    return read_btd(folder)


def test_ct(tmp_path):
    for name in ("fake.npy", "sd.npy", "real.npy"):
        save_ct(tmp_path, name)
    data = ct_table(
        tmp_path,
        "CT/injection/fake.npy,25,5,FM,1,0",
        "/CT/injection/sd.npy,25.0,5,FM,0,1",
        "CT/injection/real.npy,4,6,TM,1,1",
    )
    assert [(case.generator, case.task, case.modality) for case in data.cases] == [
        (CT_GAN, "inject", "CT"),
        (STABLE_DIFFUSION, "inject", "CT"),
        (AUTHENTIC, None, "CT"),
    ]
    assert data.cases[0].targets == (Target(0, 5, 25, "injected"),)
    assert data.cases[2].targets == (Target(0, 6, 4, "nodule"),)
    assert data.skipped == ()


def test_mr(tmp_path):
    for name in ("Breast_MRI_012_5.png", "Breast_MRI_012_5_fake.png", "slice_7.png", "slice_7_fake.png"):
        save_mr(tmp_path, name)
    (tmp_path / "MRI" / "MRI_removal.csv").write_text(
        "path,x,y,type\nMRI/Breast_MRI_012_5_fake.png,3,4,FB\nMRI/Breast_MRI_012_5.png,3,4,TB\n"
        "MRI/slice_7_fake.png,3,4,FB\nMRI/slice_7.png,3,4,TB\n"
    )
    data = read_btd(tmp_path)
    assert [(case.generator, case.task, case.modality) for case in data.cases[:2]] == [
        (STABLE_DIFFUSION, "remove", "MR"),
        (AUTHENTIC, None, "MR"),
    ]
    assert [case.group for case in data.cases] == ["Breast_MRI_012", "Breast_MRI_012", "slice_7", "slice_7"]
    assert len({case.name for case in data.cases}) == 4


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("CT/injection/none.npy,1,1,FM,1,0", "does not exist"),
        ("../real.npy,1,1,FM,1,0", "outside the folder"),
        ("CT/injection/real.npy,30,1,FM,1,0", "outside the scan of 1 slices of 20 x 30"),
        ("CT/injection/real.npy,-1,1,FM,1,0", "no whole number"),
        ("CT/injection/real.npy,1,1,FM,0,0", "does not tell which generator"),
        ("CT/injection/real.npy,1,1,FM,1,1", "does not tell which generator"),
        ("CT/injection/real.npy,1,1,QQ,1,0", "has the type 'QQ'"),
        ("CT/injection/cube.npy,1,1,FM,1,0", "no single slice"),
        ("CT/injection/text.npy,1,1,FM,1,0", "no NumPy file"),
        ("CT/injection/CT_injection.csv,1,1,FM,1,0", "no .npy file"),
    ],
)
def test_rows_that_make_no_sense_are_counted(tmp_path, line, reason):
    save_ct(tmp_path, "real.npy")
    save_ct(tmp_path, "cube.npy", (2, 20, 30))
    (tmp_path / "CT" / "injection" / "text.npy").write_text("nothing")
    data = ct_table(tmp_path, "CT/injection/real.npy,1,1,TM,1,1", line)
    assert len(data.cases) == 1
    assert data.skipped[0].row == "CT_injection.csv line 3"
    assert reason in data.skipped[0].reason


def test_without_tables_nothing_can_be_read(tmp_path):
    with pytest.raises(BenchError, match="holds none of"):
        read_btd(tmp_path)
    (tmp_path / "MRI").mkdir()
    (tmp_path / "MRI" / "MRI_injection.csv").write_text("path,x,type\na,1,FM\n")
    with pytest.raises(BenchError, match="has no column y"):
        read_btd(tmp_path)
