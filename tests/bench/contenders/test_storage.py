import json
import struct

import numpy as np
import pytest

from tamperscan.bench.contenders.storage import LEARNED_FILE, learned_facts, read_arrays, write_arrays
from tamperscan.errors import BenchError

ARRAYS = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(4, dtype=np.int64)}


def test_arrays_and_facts_come_back(tmp_path):
    write_arrays(tmp_path / "new" / LEARNED_FILE, ARRAYS, {"steps": 3, "loss": None})
    arrays, facts = read_arrays(tmp_path / "new" / LEARNED_FILE)
    assert facts == {"steps": 3, "loss": None}
    assert np.array_equal(arrays["a"], ARRAYS["a"])
    assert (arrays["b"].shape, int(arrays["b"])) == ((), 4)


def test_arrays_that_are_views_are_written_as_they_look(tmp_path):
    write_arrays(tmp_path / LEARNED_FILE, {"turned": ARRAYS["a"].T}, {})
    assert np.array_equal(read_arrays(tmp_path / LEARNED_FILE)[0]["turned"], ARRAYS["a"].T)


def test_nothing_is_left_beside_the_file(tmp_path):
    write_arrays(tmp_path / LEARNED_FILE, ARRAYS, {})
    write_arrays(tmp_path / LEARNED_FILE, ARRAYS, {})
    assert [path.name for path in tmp_path.iterdir()] == [LEARNED_FILE]


def test_missing_file(tmp_path):
    with pytest.raises(BenchError, match=r"learned\.safetensors: can't be read"):
        read_arrays(tmp_path / LEARNED_FILE)


@pytest.mark.parametrize("content", [b"", b"no tensors at all", struct.pack("<Q", 2) + b"{}"])
def test_damaged_file(tmp_path, content):
    (tmp_path / LEARNED_FILE).write_bytes(content)
    with pytest.raises(BenchError, match="Remove it to learn anew"):
        read_arrays(tmp_path / LEARNED_FILE)


def test_facts_are_those_without_the_settings(tmp_path):
    write_arrays(tmp_path / LEARNED_FILE, ARRAYS, {"settings": {"widths": [1, 2]}, "steps": 5})
    assert learned_facts(tmp_path, {"widths": (1, 2)}) == {"steps": 5}


def test_nothing_learned_yet(tmp_path):
    assert learned_facts(tmp_path, {}) is None


def test_other_settings_are_refused(tmp_path):
    write_arrays(tmp_path / LEARNED_FILE, ARRAYS, {"settings": {"budget": 10.0}})
    with pytest.raises(BenchError, match="another budget"):
        learned_facts(tmp_path, {"budget": 20.0})


def test_facts_are_plain_json(tmp_path):
    with pytest.raises(TypeError):
        write_arrays(tmp_path / LEARNED_FILE, ARRAYS, {"array": np.zeros(3)})
    assert json.dumps(list(tmp_path.iterdir())) == "[]"
