"""Back-in-Time Diffusion: one reverse step without noise, and the square of what it takes away.

Three contenders: the published network trained as published as far as a budget goes, the official weights, and the
same score with a small network, so that the budget is not the whole story.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tamperscan.bench.contenders.btd_training import PublishedCourse
from tamperscan.bench.contenders.contender import Authentic, Budget, Image, Report
from tamperscan.bench.contenders.denoising import CROP_PX, TRAINING, DenoisingCourse, white_noise
from tamperscan.bench.contenders.images import BENCH_MR, cut_tiles, pad_to, stitch_tiles
from tamperscan.bench.contenders.learning import Course, NetworkContender
from tamperscan.bench.contenders.machine import device
from tamperscan.diffusion.predictor import NoisePredictor
from tamperscan.diffusion.presets import PAPER_CT, PAPER_MR, TrainingPreset
from tamperscan.diffusion.published import DIM, PublishedUNet
from tamperscan.diffusion.reverse_step import back_in_time
from tamperscan.diffusion.schedule import LowNoise, NoiseSchedule, noise_schedule
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.diffusion.weights import open_weights
from tamperscan.scan.windows import PUBLISHED_CT, IntensityWindow

SOURCE = "Grabovski, Yasur, Amit, Elovici and Mirsky: Back-in-Time Diffusion. arXiv 2407.15169"
SMALL_WIDTHS = (32, 64, 96)
# The small network learns noise from a quarter to four times that of the published step.
_SMALL_RANGE = 4.0
_TILES_A_CALL = 4

Predict = Callable[[Image], Image]


class Btd(NetworkContender):
    """The published network and settings, tile by tile of the size that it is trained on.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    preset
        Published settings; None for those of the modality.
    dim
        Channels of the network's first stage.
    """

    name = "btd"
    source = f"{SOURCE}, with its published training settings"

    def __init__(self, modality: str, *, preset: TrainingPreset | None = None, dim: int = DIM) -> None:
        self._preset, self._dim = preset or (PAPER_CT if modality == "CT" else PAPER_MR), dim
        self._window = _window(modality)
        assert self._preset.schedule is not None  # as in all published presets
        self._schedule = noise_schedule(self._preset.schedule, self._preset.timesteps)
        self.settings = {"preset": self._preset.as_dict(), "dim": dim, "window": [self._window.low, self._window.high]}

    def course(self, authentic: Authentic) -> Course:
        """Train as published, with crops that are not augmented beyond what the preset says."""
        return PublishedCourse(PublishedUNet(self._dim), authentic, self._window, self._schedule, self._preset)

    def fresh(self) -> dict[str, nn.Module]:
        """Make the published network."""
        return {"unet": PublishedUNet(self._dim)}

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the square of what the reverse step takes away, ``[row, column]`` in model units."""
        return _tiled_energy(image, self._window, self._preset.crop_px, self._schedule, self._predict)

    @torch.inference_mode()
    def _predict(self, tiles: Image) -> Image:
        images = torch.from_numpy(tiles)[:, None].to(device())
        noise: Image = self.networks["unet"](images, torch.zeros(len(tiles), device=device()))[:, 0].cpu().numpy()
        return noise


class BtdOfficial:
    """The official weights; nothing is learned.

    Parameters
    ----------
    folder
        Imported weights of the published network.

    Raises
    ------
    WeightsError
        If they can't be opened.
    """

    name = "btd-official"
    source = f"{SOURCE}, with its official weights"

    def __init__(self, folder: Path) -> None:
        self._weights = open_weights(folder)
        card = self._weights.card
        self._window = _window(card.modality)
        self._schedule = noise_schedule(card.schedule or "sigmoid", card.timesteps)
        self.settings: Mapping[str, Any] = {
            "weights_sha256": self._weights.sha256,
            "crop_px": card.crop_px,
            "schedule": self._schedule.name,
            "window": [self._window.low, self._window.high],
        }
        self._predictor: NoisePredictor | None = None

    def learn(self, authentic: Authentic, budget: Budget, folder: Path, report: Report) -> Mapping[str, Any]:
        """Learn nothing."""
        return {}

    def load(self, folder: Path) -> None:
        """Take up nothing."""

    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the square of what the reverse step takes away, ``[row, column]`` in model units."""
        return _tiled_energy(image, self._window, self._weights.card.crop_px, self._schedule, self._predict)

    def _predict(self, tiles: Image) -> Image:
        if self._predictor is None:
            self._predictor = NoisePredictor(self._weights, threads=torch.get_num_threads())
        return self._predictor.predict_batch(tiles, np.zeros(len(tiles), dtype=np.float32))


class BtdSmall(NetworkContender):
    """The published score with our small network, which learns the noise of the published step and little else.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    widths, crop_px
        Of the network and the training crops.
    """

    name = "btd-small"
    source = f"{SOURCE}; the network is ours"

    def __init__(self, modality: str, *, widths: Sequence[int] = SMALL_WIDTHS, crop_px: int = CROP_PX) -> None:
        self._window, self._schedule = _window(modality), noise_schedule("sigmoid")
        self._widths, self._crop_px = tuple(widths), crop_px
        self._sigma = self._schedule.noise_to_signal(0)
        self._levels = LowNoise(self._sigma / _SMALL_RANGE, self._sigma * _SMALL_RANGE)
        self.settings = {
            "window": [self._window.low, self._window.high],
            "schedule": self._schedule.name,
            "sigma": [self._levels.sigma_min, self._levels.sigma_max],
            "widths": list(self._widths),
            "crop_px": crop_px,
            **TRAINING,
        }

    def course(self, authentic: Authentic) -> Course:
        """Train the network to predict noise of levels spread evenly over their logarithm."""
        return DenoisingCourse(self._network(), authentic, self._window, crop_px=self._crop_px, loss=self._loss)

    def fresh(self) -> dict[str, nn.Module]:
        """Make the small network."""
        return {"unet": self._network()}

    @torch.inference_mode()
    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the square of what the reverse step takes away, ``[row, column]`` in model units."""
        network = self.networks["unet"]
        x0 = pad_to(self._window.to_model(image), 2 ** len(self._widths))
        sigma = torch.full((1,), self._sigma, device=device())
        noise = network(torch.from_numpy(x0)[None, None].to(device()), sigma)[0, 0].cpu().numpy()
        return _removed_energy(x0, noise, self._schedule)[: image.shape[0], : image.shape[1]]

    def _network(self) -> LocalUNet:
        return LocalUNet(LocalUNetSettings(widths=self._widths))

    def _loss(self, network: nn.Module, crops: Tensor, rng: np.random.Generator) -> Tensor:
        sigma = torch.as_tensor(self._levels.sample(rng, len(crops)), dtype=torch.float32, device=crops.device)
        noise = torch.from_numpy(white_noise(rng, tuple(crops.shape))).to(crops.device)
        predicted: Tensor = network(crops + sigma[:, None, None, None] * noise, sigma)
        return (predicted - noise).square().mean()


def _window(modality: str) -> IntensityWindow:
    """Return the published window; MR images are scaled by their scan's own range, which bench units are."""
    return PUBLISHED_CT if modality == "CT" else BENCH_MR


def _tiled_energy(image: Image, window: IntensityWindow, side: int, schedule: NoiseSchedule, predict: Predict) -> Image:
    """Score an image tile by tile: the published network sees whole tiles, and other sizes give other values."""
    tiles = cut_tiles(window.to_model(image), side, side)
    noise = np.concatenate([predict(tiles[at : at + _TILES_A_CALL]) for at in range(0, len(tiles), _TILES_A_CALL)])
    return stitch_tiles(_removed_energy(tiles, noise, schedule), image.shape, side)


def _removed_energy(x0: Image, noise: Image, schedule: NoiseSchedule) -> Image:
    """Return (x_0 - x_-1)^2 at t = 0 (arXiv 2407.15169)."""
    energy: Image = np.square(x0 - back_in_time(x0, noise, schedule)).astype(np.float32)
    return energy
