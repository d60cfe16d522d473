"""Moving average of a network's weights over training; a detector uses the averaged ones."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tamperscan.diffusion.presets import TrainingPreset


class Ema:
    """Exponential moving average of a network, with or without the warm-up of ema_pytorch.

    Call ``update`` after every optimiser step. Of the calls n = 0, 1, 2, ... only those count that ``every``
    divides. With warm-up, as ema_pytorch has it by default (update_after_step 100, inv_gamma 1, power 2/3,
    update_every 10; the published training sets beta to 0.995), such a call

    - copies the weights while n <= ``start``, and once more at the first call after it;
    - from then on sets ``average = d * average + (1 - d) * weights`` with
      ``d = min(decay, 1 - (1 + n - start) ** -power)``.

    So d is 0.869 at n = 120, 0.969 at n = 280, and 0.995 from n = 2930 on. Without warm-up (``power`` None)
    the average starts from the weights that the network had when this was made, and d is ``decay`` always.

    Parameters
    ----------
    model
        The network in training. Its weights are copied, so that training leaves the average alone.
    decay
        How much of the average an update keeps, 0 to 1.
    every
        Calls between updates.
    start
        Last call at which weights are copied instead of averaged; has no meaning without warm-up.
    power
        Exponent of the warm-up, or None for none.

    Attributes
    ----------
    model
        The averaged network, without gradients, in evaluation mode.
    calls
        How often ``update`` was called.

    Notes
    -----
    This is ema_pytorch 0.2.3, of the time of denoising_diffusion_pytorch 1.8.3. Newer versions (0.8.3)
    average at the first call after ``start`` too instead of copying, which matters for short runs only.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        decay: float = 0.995,
        every: int = 10,
        start: int = 100,
        power: float | None = 2 / 3,
    ) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"The average has to keep at least 0 and less than 1 of itself, not {decay}.")
        if every < 1 or start < 0:
            raise ValueError(f"Updates need a spacing from 1 and a start from 0, not {every} and {start}.")
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay
        self.every = every
        self.start = start
        self.power = power
        self.calls = 0
        self._first_average = -(-(start + 1) // every) * every

    @classmethod
    def from_preset(cls, model: nn.Module, preset: TrainingPreset) -> Ema:
        """Average as a preset says."""
        return cls(
            model,
            decay=preset.ema_decay,
            every=preset.ema_every,
            start=preset.ema_start,
            power=preset.ema_power,
        )

    def decay_at(self, call: int) -> float:
        """Return how much of the average the given call keeps; 0 where it copies the weights."""
        if self.power is None:
            return self.decay
        if call <= self._first_average:
            return 0.0
        return min(self.decay, 1.0 - math.pow(1.0 + call - self.start, -self.power))

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the weights of the network after an optimiser step.

        Parameters
        ----------
        model
            The network in training, with the parameters and buffers of the one that this was made with.
        """
        call, self.calls = self.calls, self.calls + 1
        if call % self.every:
            return
        keep = self.decay_at(call)
        current = model.state_dict()
        for name, average in self.model.state_dict().items():
            _move_towards(average, current[name], 1.0 - keep)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to go on later: the averaged weights and the number of calls."""
        return {"calls": self.calls, "model": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        self.model.load_state_dict(state["model"])
        self.calls = int(state["calls"])


def _move_towards(average: Tensor, current: Tensor, share: float) -> None:
    # Counters and other whole numbers have no average.
    if share == 1.0 or not average.is_floating_point():
        average.copy_(current)
    else:
        average.lerp_(current.to(average), share)
