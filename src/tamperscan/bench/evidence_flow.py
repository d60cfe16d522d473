"""A normalising flow over window statistics: how likely authentic scans have such values."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float64]

_LAYERS = 6
_HIDDEN = 48
_STEPS = 800
_BATCH = 1024
_RATE = 2e-3


class _Coupling(nn.Module):
    """Scale and shift some of the values by what the others say (Dinh et al. 2017, arXiv 1605.08803, section 3)."""

    def __init__(self, kept: Tensor) -> None:
        super().__init__()
        self.kept: Tensor
        self.register_buffer("kept", kept)
        self.network = nn.Sequential(
            nn.Linear(len(kept), _HIDDEN), nn.Tanh(), nn.Linear(_HIDDEN, _HIDDEN), nn.Tanh(),
            nn.Linear(_HIDDEN, 2 * len(kept)),
        )  # fmt: skip

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.network(values * self.kept).chunk(2, dim=1)
        scale, shift = torch.tanh(scale) * (1 - self.kept), shift * (1 - self.kept)
        return values * torch.exp(scale) + shift, scale.sum(dim=1)


class Flow(nn.Module):
    """Coupling layers that keep every second value in turn.

    Parameters
    ----------
    features
        Number of values of a window.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        kept = torch.arange(features) % 2
        self.layers = nn.ModuleList(_Coupling((kept if layer % 2 else 1 - kept).float()) for layer in range(_LAYERS))

    def log_likelihood(self, values: Tensor) -> Tensor:
        """Return the log of the density of values ``[window, feature]``."""
        total = torch.zeros(len(values))
        for layer in self.layers:
            values, log_determinant = layer(values)
            total = total + log_determinant
        return total - 0.5 * (values**2).sum(dim=1) - 0.5 * values.shape[1] * math.log(2 * math.pi)


def fit_flow(values: Array) -> Callable[[Array], Array]:
    """Fit a flow to the values of authentic windows, and return how unlikely others are.

    Parameters
    ----------
    values
        float64 ``[window, feature]``, standardised.

    Returns
    -------
    callable
        From ``[window, feature]`` to the root of twice the negative log-likelihood less its least; of independent
        standard normal values that is the distance from zero.
    """
    torch.manual_seed(0)
    flow, data = Flow(values.shape[1]), torch.tensor(values, dtype=torch.float32)
    optimiser = torch.optim.Adam(flow.parameters(), lr=_RATE)
    generator = torch.Generator().manual_seed(0)
    for _ in range(_STEPS):
        batch = data[torch.randint(len(data), (_BATCH,), generator=generator)]
        loss = -flow.log_likelihood(batch).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(flow.parameters(), 1.0)
        optimiser.step()
    flow.eval()
    with torch.inference_mode():
        most = float(flow.log_likelihood(data).max())

    def unlikely(others: Array) -> Array:
        with torch.inference_mode():
            log_likelihood = flow.log_likelihood(torch.tensor(others, dtype=torch.float32)).numpy()
        distance: Array = np.sqrt(np.maximum(2.0 * (most - log_likelihood.astype(np.float64)), 0.0))
        return distance

    return unlikely
