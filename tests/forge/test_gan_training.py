import csv
import json

import pytest
import torch

from tamperscan.errors import TrainingError
from tamperscan.forge import gan_training
from tamperscan.forge.gan_network import GanSettings
from tamperscan.forge.gan_training import LOSS_FILE, STATE_FILE, train_gan
from tamperscan.forge.weights import read_weights

from .lung_phantom import write_phantom

SMALL = GanSettings(widths=(8, 16, 16), critic_widths=(8, 8, 8))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_phantom(folder / "a")
    return folder


def train(data, out, **changes):
    options = {"action": "remove", "steps": 2, "settings": SMALL, "cubes": 8}
    return train_gan(data, out, **(options | changes))


def test_weights_come_with_what_they_were_made_of(data, tmp_path):
    told = []
    folder = train(data, tmp_path, action="inject", licence="of the phantom", report=lambda *step: told.append(step))
    card = read_weights(folder, kind="gan").card
    assert told == [(1, 2), (2, 2)]
    assert (card["action"], card["licence"], card["training"]["steps"]) == ("inject", "of the phantom", 2)
    assert [scan["name"] for scan in card["training"]["scans"]] == ["phantom0"]
    assert card["training"]["nodules"][0]["marked"] is True
    assert len(card["equalisation"]["hu"]) == len(card["equalisation"]["values"])


def test_a_run_in_two_parts_gives_what_one_run_gives(data, tmp_path, monkeypatch):
    monkeypatch.setattr(gan_training, "_FALL_AFTER", -1e9)  # the rate must not depend on the number of steps
    whole = read_weights(train(data, tmp_path / "whole", steps=3)).state
    train(data, tmp_path / "parts", steps=2)
    parts = read_weights(train(data, tmp_path / "parts", steps=3)).state
    assert all(torch.allclose(whole[name], parts[name], atol=2e-3) for name in whole)


def test_the_absolute_error_falls(data, tmp_path, monkeypatch):
    monkeypatch.setattr(gan_training, "_CURVE_EVERY", 1)
    train(data, tmp_path, steps=25)
    with (tmp_path / LOSS_FILE).open() as stream:
        errors = [float(row["absolute"]) for row in csv.DictReader(stream)]
    assert len(errors) == 25
    assert errors[-1] < 0.95 * errors[0]


def test_another_run_in_the_same_folder(data, tmp_path):
    train(data, tmp_path)
    with pytest.raises(TrainingError, match="made of other scans"):
        train(data, tmp_path, seed=1)
    with pytest.raises(TrainingError, match="is of another run"):
        train(data, tmp_path, settings=GanSettings(widths=(8, 8, 8), critic_widths=(8, 8, 8)))


def test_a_damaged_state(data, tmp_path):
    train(data, tmp_path)
    (tmp_path / STATE_FILE).write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"can't be read.*start anew"):
        train(data, tmp_path)


def test_the_part_of_a_split(data, tmp_path):
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": ["nobody*"], "all": ["a"]}))
    with pytest.raises(TrainingError, match="no lung to train on"):
        train(data, tmp_path / "none", split=split)
    assert train(data, tmp_path / "all", split=split, part="all").is_dir()
