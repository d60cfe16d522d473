"""The state of networks and optimisers as named arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tamperscan.bench.contenders.storage import Arrays
from tamperscan.errors import BenchError


def arrays_of(networks: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Adam]) -> Arrays:
    """Lay networks and optimisers out as named arrays."""
    tensors = {
        f"{name}.{key}": value for name, network in networks.items() for key, value in network.state_dict().items()
    }
    for name, optimiser in optimisers.items():
        for index, state in optimiser.state_dict()["state"].items():
            tensors |= {f"adam.{name}.{index}.{key}": value for key, value in state.items()}
    return {name: value.detach().cpu().numpy() for name, value in tensors.items()}


def fill(network: nn.Module, prefix: str, arrays: Arrays) -> None:
    """Put the arrays whose names begin with a prefix into a network.

    Raises
    ------
    BenchError
        If they are not those of the network.
    """
    named = {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
    try:
        network.load_state_dict({name: torch.from_numpy(value) for name, value in named.items()})
    except RuntimeError as error:
        raise BenchError(f"What a contender learned does not fit its network ({error}). Learn anew.") from error


def fill_optimiser(optimiser: torch.optim.Adam, prefix: str, arrays: Arrays) -> None:
    """Put the arrays whose names begin with a prefix into an optimiser."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in arrays.items():
        if name.startswith(prefix):
            index, key = name.removeprefix(prefix).split(".")
            state.setdefault(int(index), {})[key] = torch.from_numpy(value.copy())
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
