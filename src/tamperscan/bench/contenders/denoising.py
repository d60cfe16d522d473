"""What the denoising contenders share: the backbone, adding noise, and taking it away in a few steps.

All of it is Ho et al. 2020 (arXiv 2006.11239) with the respacing of Nichol and Dhariwal 2021 (arXiv 2102.09672,
section 4). Images are torch tensors ``[n, 1, row, column]`` in model units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tamperscan.bench.contenders.contender import Authentic
from tamperscan.bench.contenders.descent import descend, falling_rate
from tamperscan.bench.contenders.learning import Course
from tamperscan.bench.contenders.machine import device
from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.schedule import NoiseSchedule
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.scan.windows import IntensityWindow

# Four resolutions instead of the packaged network's three: strong noise is judged from farther away.
WIDTHS = (32, 48, 64, 96)
CROP_PX = 96
BATCH = 16
RATE = 1e-3
EMA_DECAY = 0.999
TRAINING = {"batch": BATCH, "rate": RATE, "ema_decay": EMA_DECAY}
"""What decides a training here, for a contender's settings."""

Noise = Callable[[np.random.Generator, tuple[int, ...]], NDArray[np.float32]]


def backbone(widths: Sequence[int] = WIDTHS) -> LocalUNet:
    """Make the network that all small denoisers here have; it takes images of any size that divides by its stride."""
    return LocalUNet(LocalUNetSettings(widths=tuple(widths)))


def backbone_stride(widths: Sequence[int]) -> int:
    """Return what the sides of images must divide by."""
    return int(2 ** len(widths))


def white_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw Gaussian noise, each pixel by itself."""
    return rng.standard_normal(shape, dtype=np.float32)


def add_noise(images: Tensor, noise: Tensor, schedule: NoiseSchedule, t: NDArray[np.integer]) -> Tensor:
    """Return x_t = sqrt(abar_t) x + sqrt(1 - abar_t) noise (Ho et al. 2020, eq. 4), ``t`` one level an image."""
    kept = torch.as_tensor(schedule.alphas_cumprod[t], dtype=torch.float32, device=images.device)[:, None, None, None]
    return kept.sqrt() * images + (1 - kept).sqrt() * noise


def run_network(network: nn.Module, images: Tensor, schedule: NoiseSchedule, t: NDArray[np.integer]) -> Tensor:
    """Run the backbone on images of level t; it is told the level as the noise beside an image of full size."""
    kept = schedule.alphas_cumprod[t]
    level = torch.as_tensor(np.sqrt((1 - kept) / kept), dtype=torch.float32, device=images.device)
    out: Tensor = network(images, level)
    return out


def noise_loss(
    network: nn.Module, crops: Tensor, schedule: NoiseSchedule, rng: np.random.Generator, draw: Noise
) -> Tensor:
    """Return the mean squared error of the predicted noise, levels drawn evenly (Ho et al. 2020, eq. 14)."""
    noise = torch.from_numpy(draw(rng, tuple(crops.shape))).to(crops.device)
    t = rng.integers(schedule.timesteps, size=len(crops))
    predicted = run_network(network, add_noise(crops, noise, schedule, t), schedule, t)
    return (predicted - noise).square().mean()


def respaced(level: int, steps: int) -> list[int]:
    """Return levels from ``level - 1`` down, evenly spaced, as many as there are steps."""
    return [round(level * (steps - index) / steps) - 1 for index in range(steps)]


def denoise(
    network: nn.Module,
    images: Tensor,
    schedule: NoiseSchedule,
    levels: Sequence[int],
    draw: Callable[[], Tensor],
) -> Tensor:
    """Walk back from the first of the levels to a clean image, with fresh noise in each step but the last.

    Parameters
    ----------
    network
        Predicts the noise.
    images
        x_t of the first level.
    schedule, levels
        Noise schedule, and the levels to stop at, falling.
    draw
        Draws noise of the images' shape.
    """
    for t, before in pairwise(levels):
        kept, kept_before = float(schedule.alphas_cumprod[t]), float(schedule.alphas_cumprod[before])
        # The posterior of Ho et al. 2020, eq. 7, with the variance that lies between the two levels.
        beta = 1 - kept / kept_before
        of_start = beta * kept_before**0.5 / (1 - kept)
        of_image = (1 - kept_before) * (1 - beta) ** 0.5 / (1 - kept)
        spread = (beta * (1 - kept_before) / (1 - kept)) ** 0.5
        images = of_start * _start(network, images, schedule, t) + of_image * images + spread * draw()
    return _start(network, images, schedule, levels[-1])


def _start(network: nn.Module, images: Tensor, schedule: NoiseSchedule, t: int) -> Tensor:
    """Return the clean images that the predicted noise implies, clamped to model units (Ho et al. 2020, eq. 15)."""
    kept = float(schedule.alphas_cumprod[t])
    noise = run_network(network, images, schedule, np.full(len(images), t))
    start: Tensor = (images - (1 - kept) ** 0.5 * noise) / kept**0.5
    return start.clamp(-1.0, 1.0)


class DenoisingCourse(Course):
    """Trains a backbone on authentic crops; what its loss is, the contender says.

    Parameters
    ----------
    network
        Fresh.
    authentic, window
        Crops, and the range of them that is mapped to model units.
    crop_px
        Side of a crop.
    loss
        Called with (network, crops in model units, generator).
    further
        Modules that are kept with the network, but not trained.
    """

    def __init__(
        self,
        network: nn.Module,
        authentic: Authentic,
        window: IntensityWindow,
        *,
        crop_px: int,
        loss: Callable[[nn.Module, Tensor, np.random.Generator], Tensor],
        further: Mapping[str, nn.Module] = MappingProxyType({}),
    ) -> None:
        network = network.to(device())
        self.crops_a_step = BATCH
        self.networks = {"unet": network, **further}
        # Averaged with a warm-up: a short budget must not end with an average of untrained weights.
        self.averages = {"unet": Ema(network, decay=EMA_DECAY, every=1, start=0)}
        self.optimisers = {"unet": torch.optim.Adam(network.parameters(), lr=RATE)}
        self.learned = tuple(self.networks)
        self._authentic, self._window, self._crop_px, self._loss = authentic, window, crop_px, loss

    def step(self, rng: np.random.Generator, share: float) -> float:
        """Make a step on fresh crops."""
        crops = self._window.to_model(self._authentic.draw(rng, self.crops_a_step, self._crop_px))
        loss = self._loss(self.networks["unet"], torch.from_numpy(crops)[:, None].to(device()), rng)
        return descend(loss, self.optimisers["unet"], rate=falling_rate(RATE, share))
