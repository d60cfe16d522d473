"""Patched DDPM (Behrendt et al. 2023): noise a patch, and restore it from what surrounds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tamperscan.bench.contenders.contender import Authentic, Image
from tamperscan.bench.contenders.denoising import (
    CROP_PX,
    TRAINING,
    WIDTHS,
    DenoisingCourse,
    add_noise,
    backbone,
    run_network,
)
from tamperscan.bench.contenders.images import cut_tiles, noise_of, stitch_tiles, window_of
from tamperscan.bench.contenders.learning import NetworkContender
from tamperscan.bench.contenders.machine import device
from tamperscan.bench.contenders.simplex import PLANE_PX, SIMPLEX, SimplexNoise
from tamperscan.diffusion.schedule import noise_schedule

# As published: level 500 of 1000, patches of half a 96 px image.
LEVEL = 500
_TILES_A_CALL = 16


class PatchedDdpm(NetworkContender):
    """Restores every patch of a slice given its surroundings; the energy is the absolute error in model units.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    level
        How far patches are noised at test, of 1000.
    widths, crop_px, plane_px
        Of the network, the crops and the planes of simplex noise; a patch has half the side of a crop and lies in
        its middle.
    """

    name = "patched-ddpm"
    source = "Behrendt et al.: Patched Diffusion Models for Unsupervised Anomaly Detection. arXiv 2303.03758"

    def __init__(
        self,
        modality: str,
        *,
        level: int = LEVEL,
        widths: Sequence[int] = WIDTHS,
        crop_px: int = CROP_PX,
        plane_px: int = PLANE_PX,
    ) -> None:
        self._window, self._schedule = window_of(modality), noise_schedule("linear")
        self._level, self._widths = level, tuple(widths)
        self._crop_px, self._margin, self._plane_px = crop_px, crop_px // 4, plane_px
        self.settings = {
            "window": [self._window.low, self._window.high],
            "schedule": self._schedule.name,
            "level": level,
            "widths": list(self._widths),
            "crop_px": crop_px,
            "patch_px": crop_px - 2 * self._margin,
            **TRAINING,
            **SIMPLEX,
            "plane_px": plane_px,
        }

    def course(self, authentic: Authentic) -> DenoisingCourse:
        """Train the network to predict the clean patch, levels drawn evenly, absolute error."""
        simplex = SimplexNoise(self._plane_px)

        def loss(network: nn.Module, crops: Tensor, rng: np.random.Generator) -> Tensor:
            t = rng.integers(self._schedule.timesteps, size=len(crops))
            restored = self._restore(network, crops, t, simplex, rng)
            return (self._middle(crops) - self._middle(restored)).abs().mean()

        return DenoisingCourse(
            backbone(self._widths),
            authentic,
            self._window,
            crop_px=self._crop_px,
            loss=loss,
            further={"noise": simplex},
        )

    def fresh(self) -> dict[str, nn.Module]:
        """Make the network, and room for the planes of noise."""
        return {"unet": backbone(self._widths), "noise": SimplexNoise(self._plane_px)}

    @torch.inference_mode()
    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the absolute error of the restored patches, ``[row, column]``."""
        rng, step = noise_of(image), self._crop_px - 2 * self._margin
        # With a margin all around, the patches in the middle of the tiles cover the image without a gap.
        surrounded = np.pad(self._window.to_model(image), self._margin, mode="edge")
        tiles = cut_tiles(surrounded, self._crop_px, step)
        errors = [self._errors(tiles[at : at + _TILES_A_CALL], rng) for at in range(0, len(tiles), _TILES_A_CALL)]
        return stitch_tiles(np.concatenate(errors), image.shape, step)

    def _errors(self, tiles: Image, rng: np.random.Generator) -> Image:
        """Return the absolute error of the patch in the middle of each tile."""
        simplex = self.networks["noise"]
        assert isinstance(simplex, SimplexNoise)  # what `fresh` made
        crops = torch.from_numpy(tiles)[:, None].to(device())
        restored = self._restore(self.networks["unet"], crops, np.full(len(tiles), self._level - 1), simplex, rng)
        errors: Image = (self._middle(crops) - self._middle(restored)).abs()[:, 0].cpu().numpy()
        return errors

    def _restore(
        self,
        network: nn.Module,
        crops: Tensor,
        t: NDArray[np.integer],
        simplex: SimplexNoise,
        rng: np.random.Generator,
    ) -> Tensor:
        """Noise the middle of crops and have the network tell the clean crop in one step."""
        noise = torch.from_numpy(simplex.draw(rng, tuple(crops.shape))).to(crops.device)
        mixed = crops.clone()
        self._middle(mixed).copy_(self._middle(add_noise(crops, noise, self._schedule, t)))
        return run_network(network, mixed, self._schedule, t)

    def _middle(self, crops: Tensor) -> Tensor:
        return crops[..., self._margin : -self._margin, self._margin : -self._margin]
