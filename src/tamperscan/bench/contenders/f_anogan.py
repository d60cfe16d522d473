"""f-AnoGAN (Schlegl et al. 2019): what a generator of authentic patches can't make from an encoder's guess."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tamperscan.bench.contenders.contender import Authentic, Image
from tamperscan.bench.contenders.descent import descend
from tamperscan.bench.contenders.gan import Critic, Encoder, Generator, gradient_penalty
from tamperscan.bench.contenders.images import cut_tiles, stitch_tiles, window_of
from tamperscan.bench.contenders.learning import Course, NetworkContender
from tamperscan.bench.contenders.machine import device
from tamperscan.scan.windows import IntensityWindow

TILE_PX = 64
STEP_PX = 32
LATENT = 128
WIDTH = 32
BATCH = 16
CRITIC_STEPS = 5
PENALTY = 10.0
KAPPA = 1.0
# This part of the budget goes to generator and critic, the rest to the encoder.
GAN_SHARE = 0.7
GAN_RATE = 2e-4
ENCODER_RATE = 1e-3
_TILES_A_CALL = 32


class FAnoGan(NetworkContender):
    """Maps patches to a latent vector and back; energy is the residual of the image and of the critic's features.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    width, latent
        Channels of the widest layers' quarter, and numbers of the latent vector.
    """

    name = "f-anogan"
    source = (
        "Schlegl, Seeböck, Waldstein, Langs and Schmidt-Erfurth: f-AnoGAN. Medical Image Analysis 54, 2019,"
        " sections 2.1 to 2.3 (izi_f)"
    )

    def __init__(self, modality: str, *, width: int = WIDTH, latent: int = LATENT) -> None:
        self._window, self._width, self._latent = window_of(modality), width, latent
        self.settings = {
            "window": [self._window.low, self._window.high],
            "tile_px": TILE_PX,
            "step_px": STEP_PX,
            "width": width,
            "latent": latent,
            "batch": BATCH,
            "critic_steps": CRITIC_STEPS,
            "penalty": PENALTY,
            "kappa": KAPPA,
            "gan_share": GAN_SHARE,
            "rates": [GAN_RATE, ENCODER_RATE],
        }

    def course(self, authentic: Authentic) -> Course:
        """Train generator and critic first, then the encoder."""
        return _GanCourse(self.fresh(), authentic, self._window, self._latent)

    def fresh(self) -> dict[str, nn.Module]:
        """Make generator, critic and encoder."""
        return {
            "generator": Generator(self._width, self._latent),
            "critic": Critic(self._width),
            "encoder": Encoder(self._width, self._latent),
        }

    @torch.inference_mode()
    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the residual of overlapping patches, averaged, ``[row, column]``."""
        tiles = cut_tiles(self._window.to_model(image), TILE_PX, STEP_PX)
        parts = [self._residual(tiles[at : at + _TILES_A_CALL]) for at in range(0, len(tiles), _TILES_A_CALL)]
        return stitch_tiles(np.concatenate(parts), image.shape, STEP_PX)

    def _residual(self, tiles: Image) -> Image:
        """Return the squared residual, with that of the features spread evenly over the patch."""
        images = torch.from_numpy(tiles)[:, None].to(device())
        restored = self.networks["generator"](self.networks["encoder"](images))
        features = _features(self.networks["critic"], images) - _features(self.networks["critic"], restored)
        whole = features.square().mean(dim=(1, 2, 3), keepdim=True)
        residual: Image = ((images - restored).square() + KAPPA * whole)[:, 0].cpu().numpy()
        return residual


class _GanCourse(Course):
    """Wasserstein GAN with gradient penalty, then an encoder against the fixed generator."""

    def __init__(
        self, networks: dict[str, nn.Module], authentic: Authentic, window: IntensityWindow, latent: int
    ) -> None:
        self.crops_a_step = BATCH
        self.networks = {name: network.to(device()) for name, network in networks.items()}
        self.averages = {}
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), betas=(0.9, 0.99) if name == "encoder" else (0.0, 0.9))
            for name, network in self.networks.items()
        }
        self.learned = tuple(networks)
        self._authentic, self._window, self._latent = authentic, window, latent

    def step(self, rng: np.random.Generator, share: float) -> float:
        """Make a step of the critic, one time in five of the generator too; later on of the encoder."""
        if share >= GAN_SHARE:
            return self._encoder_step(rng)
        loss = self._critic_step(rng)
        if rng.integers(CRITIC_STEPS) == 0:
            self._generator_step(rng)
        return loss

    def _critic_step(self, rng: np.random.Generator) -> float:
        critic, generator = self.networks["critic"], self.networks["generator"]
        real = self._crops(rng)
        with torch.no_grad():
            fake = generator(self._latents(rng))
        mixed = torch.from_numpy(rng.random((BATCH, 1, 1, 1), dtype=np.float32)).to(device())
        penalty = gradient_penalty(critic, mixed * real + (1 - mixed) * fake)
        loss = critic(fake).mean() - critic(real).mean() + PENALTY * penalty
        return descend(loss, self.optimisers["critic"], rate=GAN_RATE, clip=None)

    def _generator_step(self, rng: np.random.Generator) -> None:
        fake = self.networks["generator"](self._latents(rng))
        descend(-self.networks["critic"](fake).mean(), self.optimisers["generator"], rate=GAN_RATE, clip=None)

    def _encoder_step(self, rng: np.random.Generator) -> float:
        """Bring image and features back through the latent vector."""
        real = self._crops(rng)
        restored = self.networks["generator"](self.networks["encoder"](real))
        features = _features(self.networks["critic"], real) - _features(self.networks["critic"], restored)
        loss = (real - restored).square().mean() + KAPPA * features.square().mean()
        return descend(loss, self.optimisers["encoder"], rate=ENCODER_RATE)

    def _crops(self, rng: np.random.Generator) -> Tensor:
        crops = self._window.to_model(self._authentic.draw(rng, BATCH, TILE_PX))
        return torch.from_numpy(crops)[:, None].to(device())

    def _latents(self, rng: np.random.Generator) -> Tensor:
        return torch.from_numpy(rng.standard_normal((BATCH, self._latent), dtype=np.float32)).to(device())


def _features(critic: nn.Module, images: Tensor) -> Tensor:
    assert isinstance(critic, Critic)  # what `fresh` made
    return critic.features(images)
