"""A convolutional autoencoder: what its narrow middle can't carry is the energy."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from tamperscan.bench.contenders.contender import Authentic, Image
from tamperscan.bench.contenders.descent import descend, falling_rate
from tamperscan.bench.contenders.images import pad_to, window_of
from tamperscan.bench.contenders.learning import Course, NetworkContender
from tamperscan.bench.contenders.machine import device
from tamperscan.scan.windows import IntensityWindow

WIDTHS = (32, 64, 96, 128)
CODE = 16
CROP_PX = 96
BATCH = 16
RATE = 1e-3


class Autoencoder(nn.Module):
    """Halves an image once for each width, keeps ``code`` numbers a place, and enlarges it again.

    Parameters
    ----------
    widths
        Channels at half, quarter, ... of the resolution.
    code
        Channels of the middle.
    """

    def __init__(self, widths: Sequence[int], code: int) -> None:
        super().__init__()
        down = [_block(nn.Conv2d(a, b, 5, stride=2, padding=2), b) for a, b in pairwise((1, *widths))]
        up = [
            _block(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, padding=1)), b)
            for a, b in pairwise((*reversed(widths), widths[0]))
        ]
        last = widths[-1]
        middle = [nn.Conv2d(last, code, 1), _block(nn.Conv2d(code, last, 1), last)]
        self.layers = nn.Sequential(*down, *middle, *up, nn.Conv2d(widths[0], 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images, ``[n, 1, row, column]``, sides dividing by two to the number of widths."""
        out: Tensor = self.layers(images)
        return out


class Cae(NetworkContender):
    """Reconstructs a slice through a narrow middle; the energy is the squared error in model units.

    Parameters
    ----------
    modality
        ``"CT"`` or ``"MR"``.
    widths, code, crop_px
        Of the network and the training crops.
    """

    name = "cae"
    source = (
        "Baur, Denner, Wiestler, Navab and Albarqouni: Autoencoders for unsupervised anomaly segmentation in brain MR"
        " images. Medical Image Analysis 69, 2021 (spatial autoencoder)"
    )

    def __init__(
        self, modality: str, *, widths: Sequence[int] = WIDTHS, code: int = CODE, crop_px: int = CROP_PX
    ) -> None:
        self._window, self._widths, self._code, self._crop_px = window_of(modality), tuple(widths), code, crop_px
        self.settings = {
            "window": [self._window.low, self._window.high],
            "widths": list(self._widths),
            "code": code,
            "crop_px": crop_px,
            "batch": BATCH,
            "rate": RATE,
        }

    def course(self, authentic: Authentic) -> Course:
        """Train the autoencoder to give back authentic crops."""
        return _CaeCourse(Autoencoder(self._widths, self._code), authentic, self._window, self._crop_px)

    def fresh(self) -> dict[str, nn.Module]:
        """Make the autoencoder."""
        return {"autoencoder": Autoencoder(self._widths, self._code)}

    @torch.inference_mode()
    def energy(self, image: Image, spacing_mm: tuple[float, float]) -> Image:
        """Return the squared error of the reconstruction, ``[row, column]``."""
        padded = pad_to(self._window.to_model(image), 2 ** len(self._widths))
        clean = torch.from_numpy(padded)[None, None].to(device())
        error = (clean - self.networks["autoencoder"](clean)).square()[0, 0, : image.shape[0], : image.shape[1]]
        found: Image = error.cpu().numpy()
        return found


class _CaeCourse(Course):
    """Trains an autoencoder by the mean squared error."""

    def __init__(self, network: Autoencoder, authentic: Authentic, window: IntensityWindow, crop_px: int) -> None:
        self.crops_a_step = BATCH
        self.networks = {"autoencoder": network.to(device()).train()}
        self.averages = {}
        self.optimisers = {"autoencoder": torch.optim.Adam(network.parameters(), lr=RATE)}
        self.learned = ("autoencoder",)
        self._authentic, self._window, self._crop_px = authentic, window, crop_px

    def step(self, rng: np.random.Generator, share: float) -> float:
        """Make a step on fresh crops."""
        crops = self._window.to_model(self._authentic.draw(rng, BATCH, self._crop_px))
        images = torch.from_numpy(crops)[:, None].to(device())
        loss = (images - self.networks["autoencoder"](images)).square().mean()
        return descend(loss, self.optimisers["autoencoder"], rate=falling_rate(RATE, share))


def _block(layer: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.LeakyReLU(0.2))
