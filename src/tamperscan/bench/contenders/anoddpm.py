"""AnoDDPM (Wyatt et al. 2022): noise an image part of the way, denoise it, and see what did not come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tamperscan.bench.contenders.contender import Authentic, Image
from tamperscan.bench.contenders.denoising import (
    CROP_PX,
    TRAINING,
    WIDTHS,
    DenoisingCourse,
    Noise,
    add_noise,
    backbone,
    backbone_stride,
    denoise,
    noise_loss,
    respaced,
    white_noise,
)
from tamperscan.bench.contenders.images import noise_of, pad_to, window_of
from tamperscan.bench.contenders.learning import NetworkContender
from tamperscan.bench.contenders.machine import device
from tamperscan.bench.contenders.simplex import PLANE_PX, SIMPLEX, SimplexNoise
from tamperscan.diffusion.schedule import noise_schedule

# The level of the paper's experiments, of 1000.
LEVEL = 250
STEPS = 10


class AnoDdpm(NetworkContender):
    """Reconstructs a slice from a partly noised one; the energy is the squared error in model units.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    noise
        ``"gauss"`` or ``"simplex"``, in training and at test alike.
    level, steps
        How far the image is noised, of 1000, and in how many steps it is brought back.
    widths, crop_px, plane_px
        Of the network, the training crops and the planes of simplex noise.
    """

    source = "Wyatt, Leach, Schmon and Willcocks: AnoDDPM. CVPR Workshops 2022, section 3"

    def __init__(
        self,
        modality: str,
        *,
        noise: Literal["gauss", "simplex"],
        level: int = LEVEL,
        steps: int = STEPS,
        widths: Sequence[int] = WIDTHS,
        crop_px: int = CROP_PX,
        plane_px: int = PLANE_PX,
    ) -> None:
        self.name = f"anoddpm-{noise}"
        self._window, self._schedule = window_of(modality), noise_schedule("linear")
        self._simplex, self._widths, self._crop_px = noise == "simplex", tuple(widths), crop_px
        self._levels, self._plane_px = respaced(level, steps), plane_px
        self.settings = {
            "window": [self._window.low, self._window.high],
            "schedule": self._schedule.name,
            "levels": self._levels,
            "widths": list(self._widths),
            "crop_px": crop_px,
            **TRAINING,
            **({**SIMPLEX, "plane_px": plane_px} if self._simplex else {}),
        }

    def course(self, authentic: Authentic) -> DenoisingCourse:
        """Train the network to predict the noise of all levels, drawn evenly."""
        draw: Noise = white_noise
        further: dict[str, nn.Module] = {}
        if self._simplex:
            simplex = SimplexNoise(self._plane_px)
            draw, further = simplex.draw, {"noise": simplex}

        def loss(network: nn.Module, crops: Tensor, rng: np.random.Generator) -> Tensor:
            return noise_loss(network, crops, self._schedule, rng, draw)

        return DenoisingCourse(
            backbone(self._widths), authentic, self._window, crop_px=self._crop_px, loss=loss, further=further
        )

    def fresh(self) -> dict[str, nn.Module]:
        """Make the network, and room for the planes of noise."""
        noise = {"noise": SimplexNoise(self._plane_px)} if self._simplex else {}
        return {"unet": backbone(self._widths), **noise}

    @torch.inference_mode()
    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the squared error of the reconstruction, ``[row, column]``."""
        rng = noise_of(image)
        padded = pad_to(self._window.to_model(image), backbone_stride(self._widths))
        clean = torch.from_numpy(padded)[None, None].to(device())
        draw = self._noise()

        def noise() -> Tensor:
            return torch.from_numpy(draw(rng, tuple(clean.shape))).to(device())

        noised = add_noise(clean, noise(), self._schedule, np.array(self._levels[:1]))
        restored = denoise(self.networks["unet"], noised, self._schedule, self._levels, noise)
        error: Image = (clean - restored).square()[0, 0, : image.shape[0], : image.shape[1]].cpu().numpy()
        return error

    def _noise(self) -> Noise:
        if not self._simplex:
            return white_noise
        simplex = self.networks["noise"]
        assert isinstance(simplex, SimplexNoise)  # what `fresh` made
        return simplex.draw
