import pytest
import torch
from torch import nn

from tamperscan.errors import TrainingError
from tamperscan.forge.gan_state import load_state, save_state


def parts():
    network = nn.Linear(3, 2)
    return {"one": network}, {"one": torch.optim.Adam(network.parameters(), lr=0.1)}


def move(networks, optimisers):
    networks["one"](torch.ones(4, 3)).square().sum().backward()
    optimisers["one"].step()
    optimisers["one"].zero_grad()


def test_a_restored_run_goes_on_as_the_first_would(tmp_path):
    networks, optimisers = parts()
    move(networks, optimisers)
    save_state(tmp_path / "state", networks, optimisers, {"of": "this", "step": "1"})
    others, their_optimisers = parts()
    facts = load_state(tmp_path / "state", others, their_optimisers, {"of": "this"})
    assert facts == {"of": "this", "step": "1"}
    move(networks, optimisers)
    move(others, their_optimisers)
    assert torch.equal(networks["one"].weight, others["one"].weight)


def test_no_state_yet(tmp_path):
    assert load_state(tmp_path / "state", *parts(), {"of": "this"}) is None


def test_the_state_of_another_run(tmp_path):
    networks, optimisers = parts()
    move(networks, optimisers)
    save_state(tmp_path / "state", networks, optimisers, {"of": "that", "step": "1"})
    with pytest.raises(TrainingError, match="is of another run"):
        load_state(tmp_path / "state", networks, optimisers, {"of": "this"})


def test_a_file_that_is_no_state(tmp_path):
    (tmp_path / "state").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match=r"can't be read.*start anew"):
        load_state(tmp_path / "state", *parts(), {"of": "this"})
