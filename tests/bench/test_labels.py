import hashlib

import pytest

from tamperscan.bench.labels import Label, is_development, read_labels
from tamperscan.errors import ScanError

HEAD = "file,type,scan,slice,x,y\n"


@pytest.fixture
def read(tmp_path):
    def call(text):
        (tmp_path / "labels.csv").write_text(text)
        return read_labels(tmp_path)

    return call


def test_x_is_the_column_and_y_the_row(read):
    assert read(HEAD + "7_3.dcm,FB,7,3,10,20\n") == [Label("7_3.dcm", "FB", "7", 3, row=20, column=10)]


def test_missing_file_is_told(tmp_path):
    with pytest.raises(ScanError, match=r"labels\.csv: can't be read"):
        read_labels(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file,type,scan\n7.dcm,FB,7\n", "no column slice, x, y"),
        (HEAD, "holds no labels"),
        (HEAD + "7.dcm,TB,7,3,10,20\n", "line 2 has the type 'TB'"),
        (HEAD + "7.dcm,FB,7,3,10,20\n8.dcm,FM,8,1,ten,20\n", "line 3 has a slice, x or y"),
        (HEAD + "7.dcm,FB,7,3\n", "line 2 has a slice, x or y"),
        (HEAD + "../7.dcm,FB,7,3,10,20\n", "line 2 has the file"),
    ],
)
def test_what_is_wrong_is_told(read, text, problem):
    with pytest.raises(ScanError, match=problem):
        read(text)


def test_halves_follow_the_hash():
    for scan in map(str, range(50)):
        assert is_development(scan) == (hashlib.sha256(scan.encode()).digest()[-1] % 2 == 0)
