"""The state of a training run on disk: network, average and optimiser as named tensors, never a pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tamperscan.errors import TrainingError
from tamperscan.files import write_file

STATE_FILE = "state.safetensors"

Parts = tuple[nn.Module, nn.Module, torch.optim.Adam]
"""Network in training, its average, and the optimiser of the network's parameters."""


def save_state(path: Path, parts: Parts, facts: Mapping[str, str]) -> None:
    """Write a state in one step: a kill leaves the old state or the new one."""
    write_file(path, save(_tensors(parts), metadata=dict(facts)))


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


def refuse_another_run(path: Path, stored: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    """Refuse to go on from the state of a run that was asked for otherwise, and name the difference.

    Raises
    ------
    TrainingError
        If any of the facts differs.
    """
    differ = [line for name, value in wanted.items() for line in _differences(name, stored.get(name, "nothing"), value)]
    if differ:
        what = "; ".join(differ)
        raise TrainingError(f"{path}: is of another run ({what}). Ask for the same as then, or choose another --out.")


def _differences(name: str, stored: str, wanted: str) -> list[str]:
    """Say in what two facts differ; in settings, which of them."""
    try:
        was, asked = json.loads(stored), json.loads(wanted)
    except ValueError:
        was, asked = stored, wanted
    if isinstance(was, dict) and isinstance(asked, dict):
        names = [key for key in {**was, **asked} if was.get(key) != asked.get(key)]
        return [f"{key} was {was.get(key)}, not {asked.get(key)}" for key in names]
    return [] if was == asked else [f"{name} was {was}, not {asked}"]


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
