"""The state of a training run on disk: networks and optimisers, to go on from after a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tamperscan.errors import TrainingError
from tamperscan.files import write_file

_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


def save_state(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    facts: Mapping[str, str],
) -> None:
    """Write the state of a run, whole or not at all.

    Parameters
    ----------
    path
        Replaced in a single step.
    networks
        By name.
    optimisers
        Adam, by the name of the network that each moves.
    facts
        What else to keep; ``step`` among it.
    """
    write_file(path, save(dict(_tensors(networks, optimisers)), metadata=dict(facts)))


def load_state(
    path: Path,
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    run: Mapping[str, str],
) -> dict[str, str] | None:
    """Restore the state of a run; return its facts, or None where there is no state.

    Parameters
    ----------
    path, networks, optimisers
        As for `save_state`.
    run
        Facts that must be the same.

    Raises
    ------
    TrainingError
        If the state can't be read or is of another run.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as stored:
            facts: dict[str, str] = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path}: can't be read ({error}). Move it away to start anew.") from error
    if any(facts.get(name) != value for name, value in run.items()):
        raise TrainingError(f"{path}: is of another run. Choose another --out folder.")
    _restore(tensors, networks, optimisers, float(facts["step"]))
    return facts


def _tensors(
    networks: Mapping[str, nn.Module], optimisers: Mapping[str, torch.optim.Optimizer]
) -> Iterator[tuple[str, Tensor]]:
    for name, network in networks.items():
        for key, value in network.state_dict().items():
            yield f"{name}.{key}", value.detach().contiguous()
    for name, optimiser in optimisers.items():
        for key, parameter in networks[name].named_parameters():
            for moment in _MOMENTS:
                if moment in optimiser.state[parameter]:
                    yield f"{moment}.{name}.{key}", optimiser.state[parameter][moment].contiguous()


def _restore(
    tensors: Mapping[str, Tensor],
    networks: Mapping[str, nn.Module],
    optimisers: Mapping[str, torch.optim.Optimizer],
    step: float,
) -> None:
    for name, network in networks.items():
        prefix = f"{name}."
        network.load_state_dict(
            {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        )
    for name, optimiser in optimisers.items():
        for key, parameter in networks[name].named_parameters():
            moments = {moment: tensors[f"{moment}.{name}.{key}"] for moment in _MOMENTS}
            optimiser.state[parameter] = {"step": torch.tensor(step), **moments}
