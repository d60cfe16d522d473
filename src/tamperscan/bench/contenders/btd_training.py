"""The published training of Back-in-Time Diffusion, step by step within a budget."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tamperscan.bench.contenders.contender import Authentic
from tamperscan.bench.contenders.denoising import add_noise, white_noise
from tamperscan.bench.contenders.descent import apply_gradients
from tamperscan.bench.contenders.learning import Course
from tamperscan.bench.contenders.machine import device
from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.presets import TrainingPreset
from tamperscan.diffusion.published import PublishedUNet
from tamperscan.diffusion.schedule import NoiseSchedule
from tamperscan.scan.windows import IntensityWindow

# Published passes of 64 crops take gigabytes; their gradients are added up over parts of this size.
_CROPS_A_PASS = 8


class PublishedCourse(Course):
    """Trains the published network by a published preset.

    Parameters
    ----------
    network
        Fresh.
    authentic, window
        Crops, and the range of them that is mapped to model units.
    schedule, preset
        Noise schedule and the other settings.
    """

    def __init__(
        self,
        network: PublishedUNet,
        authentic: Authentic,
        window: IntensityWindow,
        schedule: NoiseSchedule,
        preset: TrainingPreset,
    ) -> None:
        network = network.to(device())
        self.crops_a_step = preset.batch * preset.accumulate
        self.networks = {"unet": network}
        self.averages = {"unet": Ema.from_preset(network, preset)}
        optimiser = torch.optim.Adam(network.parameters(), lr=preset.learning_rate, betas=preset.adam_betas)
        self.optimisers = {"unet": optimiser}
        self.learned = ("unet",)
        self._authentic, self._window, self._schedule, self._preset = authentic, window, schedule, preset

    def step(self, rng: np.random.Generator, share: float) -> float:
        """Add up the gradients of all crops of a step, then make it."""
        total, left = 0.0, self.crops_a_step
        while left > 0:
            count = min(_CROPS_A_PASS, left)
            loss = self._loss(rng, count) * (count / self.crops_a_step)
            loss.backward()  # type: ignore[no-untyped-call]  # torch does not type it
            total, left = total + float(loss.detach()), left - count
        return apply_gradients(total, self.optimisers["unet"], clip=self._preset.gradient_clip)

    def _loss(self, rng: np.random.Generator, count: int) -> Tensor:
        crops = self._window.to_model(self._authentic.draw(rng, count, self._preset.crop_px))
        if self._preset.flip:
            mirrored = rng.random(count) < 0.5
            crops[mirrored] = crops[mirrored, :, ::-1]
        images = torch.from_numpy(crops)[:, None].to(device())
        noise = torch.from_numpy(white_noise(rng, tuple(images.shape))).to(device())
        t: NDArray[np.int64] = rng.integers(self._schedule.timesteps, size=count)
        noised = add_noise(images, noise, self._schedule, t)
        predicted: Tensor = self.networks["unet"](noised, torch.from_numpy(t).to(device()))
        return (predicted - noise).square().mean()
