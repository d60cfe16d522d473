"""The state of a training run on disk: network, average and optimiser as named tensors, never a pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tamperscan.errors import TrainingError

STATE_FILE = "state.safetensors"

Parts = tuple[nn.Module, nn.Module, torch.optim.Adam]
"""Network in training, its average, and the optimiser of the network's parameters."""


def save_state(path: Path, parts: Parts, facts: Mapping[str, str]) -> None:
    """Write a state beside the file and swap at the end: a kill leaves the old state or the new one."""
    with replacing(path) as temporary:
        save_file(_tensors(parts), temporary, metadata=dict(facts))


def read_state(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read what `save_state` wrote.

    Raises
    ------
    TrainingError
        If the file can't be read.
    """
    try:
        with safe_open(path, framework="pt") as stored:
            return stored.metadata(), {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path}: can't be read ({error}). Move it away to start anew.") from error


def average_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick the averaged weights, which a detector uses, out of what `read_state` gave."""
    return _under("average.", tensors)


def restore_state(parts: Parts, tensors: Mapping[str, Tensor], step: int) -> None:
    """Put tensors of `read_state` back in their places; ``step`` is what Adam counts from."""
    network, average, optimiser = parts
    network.load_state_dict(_under("network.", tensors))
    average.load_state_dict(average_of(tensors))
    for name, parameter in network.named_parameters():
        state: dict[str, Any] = {"step": torch.tensor(float(step))}
        for key in ("exp_avg", "exp_avg_sq"):
            if f"adam.{key}.{name}" in tensors:
                state[key] = tensors[f"adam.{key}.{name}"].to(parameter.device)
        if len(state) == 3:
            optimiser.state[parameter] = state


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside the file, and swap the two at the end."""
    temporary = path.with_suffix(".tmp")
    yield temporary
    temporary.replace(path)


def _tensors(parts: Parts) -> dict[str, Tensor]:
    network, average, optimiser = parts
    named = {f"network.{name}": value for name, value in network.state_dict().items()}
    named |= {f"average.{name}": value for name, value in average.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key in ("exp_avg", "exp_avg_sq"):
            if key in optimiser.state[parameter]:
                named[f"adam.{key}.{name}"] = optimiser.state[parameter][key]
    return {name: value.detach().cpu().contiguous() for name, value in named.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
