import json

import pytest
import torch

from tamperscan.errors import ForgeError
from tamperscan.forge.weights import packaged_folder, read_weights, write_weights


@pytest.fixture
def folder(tmp_path):
    state = {"a.weight": torch.linspace(-2, 2, 12).reshape(3, 4), "count": torch.tensor([7])}
    write_weights(tmp_path / "weights", state, {"kind": "gan", "action": "remove"})
    return tmp_path / "weights"


def test_tensors_come_back_as_float32(folder):
    weights = read_weights(folder, kind="gan")
    assert weights.state["a.weight"].dtype == torch.float32
    assert torch.allclose(weights.state["a.weight"], torch.linspace(-2, 2, 12).reshape(3, 4), atol=1e-3)
    assert weights.state["count"].tolist() == [7]
    assert weights.card["action"] == "remove"
    assert weights.card["files"]["network.safetensors"] == weights.sha256


def test_the_same_tensors_have_the_same_hash(folder, tmp_path):
    write_weights(tmp_path / "again", read_weights(folder).state, {"kind": "gan"})
    assert read_weights(tmp_path / "again").sha256 == read_weights(folder).sha256


def test_a_folder_is_replaced_and_nothing_is_left_beside_it(folder):
    write_weights(folder, {"b": torch.ones(2)}, {"kind": "diffusion"})
    assert list(read_weights(folder).state) == ["b"]
    assert [path.name for path in folder.parent.iterdir()] == ["weights"]


def test_values_that_are_no_numbers_leave_the_old_weights(folder):
    with pytest.raises(ForgeError, match=r"'b' hold values that are no numbers or too large"):
        write_weights(folder, {"b": torch.tensor([1e6])}, {"kind": "gan"})
    assert "a.weight" in read_weights(folder).state


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ForgeError, match=r"can't be written"):
        write_weights(tmp_path / "file" / "weights", {"b": torch.ones(2)}, {"kind": "gan"})


def test_altered_tensors(folder):
    path = folder / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ForgeError, match=r"differs from what its card says"):
        read_weights(folder)


def test_another_kind(folder):
    with pytest.raises(ForgeError, match=r"of the kind 'gan', not 'diffusion'"):
        read_weights(folder, kind="diffusion")


def test_missing_tensors(folder):
    (folder / "network.safetensors").unlink()
    with pytest.raises(ForgeError, match=r"can't be read"):
        read_weights(folder)


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "is no JSON"), ("[]", "no card"), (json.dumps({"files": {}}), "no card")]
)
def test_a_card_that_makes_no_sense(folder, text, problem):
    (folder / "card.json").write_text(text)
    with pytest.raises(ForgeError, match=problem):
        read_weights(folder)


def test_no_folder_at_all(tmp_path):
    with pytest.raises(ForgeError, match=r"no forging weights here"):
        read_weights(tmp_path / "nothing")


def test_weights_that_are_not_packaged():
    with pytest.raises(ForgeError, match=r"'gan-colour'.*forge train gan --action colour"):
        packaged_folder("gan-colour")
