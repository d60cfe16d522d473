import pytest

from tamperscan.bench.datasets.rows import (
    DataSet,
    Row,
    Skipped,
    UnusableError,
    check_inside,
    file_below,
    read_table,
    usable,
)
from tamperscan.errors import BenchError, ScanError


def written(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    return path


def test_reads_rows_with_their_lines(tmp_path):
    rows = read_table(written(tmp_path, "a,b\r\n1,2\n3, 4 \n"), ["b", "a"])
    assert [row.name for row in rows] == ["table.csv line 2", "table.csv line 3"]
    assert rows[1].text("b") == "4"


def test_a_byte_order_mark_is_no_part_of_the_head(tmp_path):
    assert read_table(written(tmp_path, "\ufeffa\n1\n"), ["a"])[0].text("a") == "1"


@pytest.mark.parametrize(
    ("text", "words"),
    [("a,c\n1,2\n", "has no column b"), ("a,b\n", "holds no row"), ("", "has no column a, b")],
)
def test_a_table_that_makes_no_sense_is_refused(tmp_path, text, words):
    with pytest.raises(BenchError, match=words):
        read_table(written(tmp_path, text), ["a", "b"])


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(BenchError, match="can't be read"):
        read_table(tmp_path / "none.csv", ["a"])


@pytest.mark.parametrize(("text", "number"), [("57", 57), (" 57.0 ", 57), ("0", 0)])
def test_whole_numbers(text, number):
    assert Row("r", {"x": text}).whole("x") == number


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "nan", "inf", None])
def test_what_is_no_whole_number_is_unusable(text):
    with pytest.raises(UnusableError, match="x"):
        Row("r", {"x": text}).whole("x")


def test_unusable_items_are_counted_with_their_reason():
    def make(number):
        if number == 1:
            raise UnusableError("is one")
        if number == 2:
            raise ScanError("file", "is damaged", "Copy it")
        return number

    skipped = []
    assert list(usable([0, 1, 2, 3], make, str, skipped)) == [0, 3]
    assert skipped == [Skipped("1", "is one"), Skipped("2", "is damaged")]


def test_files_below_a_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    assert file_below(tmp_path, "a/b") == tmp_path / "a" / "b"
    assert file_below(tmp_path, "/a/b") == tmp_path / "a" / "b"


@pytest.mark.parametrize(("name", "words"), [("a/c", "does not exist"), ("../a", "outside")])
def test_files_elsewhere_are_unusable(tmp_path, name, words):
    with pytest.raises(UnusableError, match=words):
        file_below(tmp_path, name)


def test_places_must_lie_in_the_scan():
    check_inside((1, 2, 3), (2, 3, 4))
    with pytest.raises(UnusableError, match="outside the scan of 2 slices of 3 x 4 pixels"):
        check_inside((2, 2, 3), (2, 3, 4))


def test_data_sets_are_joined():
    joined = DataSet((), (Skipped("a", "b"),)) + DataSet((), (Skipped("c", "d"),))
    assert [row.row for row in joined.skipped] == ["a", "c"]
