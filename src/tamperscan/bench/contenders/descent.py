"""Steps of an optimiser, left out where they would do harm."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_WARMUP_SHARE = 0.03
_FINAL_RATE = 0.01


def falling_rate(peak: float, share: float) -> float:
    """Return the learning rate: a short warm-up, then a fall to a hundredth along half a cosine of the budget."""
    warm = min(1.0, (share + 1e-3) / _WARMUP_SHARE)
    return peak * warm * (_FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * share)))


def descend(loss: Tensor, optimiser: torch.optim.Adam, *, rate: float, clip: float | None = 1.0) -> float:
    """Make one optimiser step on a loss, left out where the loss or the gradient is not finite; return the loss.

    Only what the optimiser moves gets a gradient, whatever else the loss went through.
    """
    for group in optimiser.param_groups:
        group["lr"] = rate
    loss.backward(inputs=_moved(optimiser))  # type: ignore[no-untyped-call]  # torch does not type it
    return apply_gradients(float(loss.detach()), optimiser, clip=clip)


def apply_gradients(loss: float, optimiser: torch.optim.Adam, *, clip: float | None = 1.0) -> float:
    """Make an optimiser step with the gradients there are, and drop them; return the loss, NaN if it was left out."""
    norm = nn.utils.clip_grad_norm_(_moved(optimiser), math.inf if clip is None else clip)
    good = math.isfinite(loss) and bool(torch.isfinite(norm))
    if good:
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return loss if good else math.nan


def _moved(optimiser: torch.optim.Adam) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
