import numpy as np
import pytest
import torch
from torch import nn

from tamperscan.bench.contenders.network_state import arrays_of, fill, fill_optimiser
from tamperscan.errors import BenchError


def stepped(seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    step(network, optimiser)
    return network, optimiser


def step(network, optimiser):
    network(torch.arange(8.0).reshape(4, 2)).square().sum().backward()
    optimiser.step()
    optimiser.zero_grad()


def test_a_network_and_its_optimiser_go_on_as_they_would_have():
    network, optimiser = stepped(0)
    arrays = arrays_of({"net": network}, {"net": optimiser})
    other, other_optimiser = stepped(1)
    fill(other, "net.", arrays)
    fill_optimiser(other_optimiser, "adam.net.", arrays)
    step(network, optimiser)
    step(other, other_optimiser)
    for one, two in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_arrays_are_named_by_network():
    network, optimiser = stepped(0)
    arrays = arrays_of({"net": network}, {"net": optimiser})
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    assert {"net.0.weight", "net.1.num_batches_tracked", "adam.net.0.exp_avg", "adam.net.3.step"} <= set(arrays)


def test_arrays_of_another_network_are_refused():
    arrays = arrays_of({"net": nn.Linear(2, 3)}, {})
    with pytest.raises(BenchError, match="does not fit its network"):
        fill(nn.Linear(3, 2), "net.", arrays)
