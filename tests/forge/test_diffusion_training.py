import json

import pytest

from tamperscan.errors import TrainingError
from tamperscan.forge.diffusion import make
from tamperscan.forge.diffusion_network import TripleUNetSettings
from tamperscan.forge.diffusion_run import LOSS_FILE, DiffusionSettings
from tamperscan.forge.diffusion_training import KIND, train_diffusion
from tamperscan.forge.weights import read_weights

from .lung_phantom import write_phantom

SMALL = DiffusionSettings(network=TripleUNetSettings(widths=(8, 16), blocks=1), crop_px=32, batch=4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_phantom(folder / "a")
    write_phantom(folder / "b", 1, marked=False)
    return folder


def train(data, out, **changes):
    return train_diffusion(data, out, **({"steps": 3, "settings": SMALL} | changes))


def test_weights_come_with_what_they_were_made_of(data, tmp_path):
    told = []
    folder = train(data, tmp_path, licence="of the phantom", report=lambda *step: told.append(step))
    card = read_weights(folder, KIND).card
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert (card["licence"], card["modality"], card["training"]["steps"]) == ("of the phantom", "CT", 3)
    assert [scan["name"] for scan in card["training"]["scans"]] == ["phantom0", "phantom1"]
    assert make(str(folder)).settings["weights"] == read_weights(folder).sha256


def test_only_the_part_of_the_split_is_read(data, tmp_path):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["a"], "test": ["b"]}))
    card = read_weights(train(data, tmp_path / "run", split=split, part="train")).card
    assert [scan["name"] for scan in card["training"]["scans"]] == ["phantom0"]


def test_a_finished_run_is_only_written_again(data, tmp_path):
    first = read_weights(train(data, tmp_path)).sha256
    assert read_weights(train(data, tmp_path)).sha256 == first
    assert len((tmp_path / LOSS_FILE).read_text().splitlines()) == 1


def test_a_folder_of_another_choice_of_scans_is_refused(data, tmp_path):
    train(data, tmp_path)
    with pytest.raises(TrainingError, match="made of other scans"):
        train(data / "a", tmp_path)


def test_a_split_that_matches_nothing_is_refused(tmp_path, data):
    (tmp_path / "split.json").write_text('{"train": ["no-such-scan"]}')
    told = []
    with pytest.raises(TrainingError, match="no scan to train on"):
        train(data, tmp_path / "run", split=tmp_path / "split.json", on_error=told.append)
    assert "no-such-scan" in str(told[0])
