import json

import pytest

from tamperscan.bench.ledger import Ledger
from tamperscan.errors import OutputError


def test_values_are_there_the_next_time(tmp_path):
    path = tmp_path / "below" / "values.jsonl"
    ledger = Ledger(path)
    ledger.add("a", {"x": [1, 2.5]})
    ledger.add("b", float("nan"))
    again = Ledger(path)
    assert again["a"] == {"x": [1, 2.5]}
    assert again["b"] != again["b"]
    assert "c" not in again
    assert again.get("c", 7) == 7
    assert len(again) == 2


def test_a_newer_value_takes_the_place_of_an_older_one(tmp_path):
    path = tmp_path / "values.jsonl"
    for value in (1, 2):
        Ledger(path).add("a", value)
    assert Ledger(path)["a"] == 2


@pytest.mark.parametrize("cut", range(1, 25))
def test_wherever_a_line_is_torn_the_others_stay(tmp_path, cut):
    path = tmp_path / "values.jsonl"
    ledger = Ledger(path)
    ledger.add("first", "ü" * 3)
    whole = path.stat().st_size
    ledger.add("second", "x")
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - cut)
    again = Ledger(path)
    assert "first" in again
    assert "second" not in again
    assert path.stat().st_size == whole
    again.add("third", 3)
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["first", "third"]


def test_a_line_that_is_no_entry_is_left_out(tmp_path):
    path = tmp_path / "values.jsonl"
    Ledger(path).add("a", 1)
    path.write_bytes(path.read_bytes() + b'\0\0\0\n[1]\n{"key": "b"}\n')
    ledger = Ledger(path)
    assert len(ledger) == 1
    ledger.add("b", 2)
    assert Ledger(path)["b"] == 2


def test_no_room_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"can't be written"):
        Ledger(tmp_path / "file" / "values.jsonl").add("a", 1)
