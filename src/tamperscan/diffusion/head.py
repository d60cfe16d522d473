"""The network of the self-forged head: from a slice and its predicted noise to the odds that each pixel was altered."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from tamperscan.diffusion.front import HEAD_LEVEL, NOISE_SCALE
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings


@dataclass(frozen=True)
class HeadSettings:
    """What makes up a head and its training.

    Attributes
    ----------
    levels_hu
        Noise levels whose predicted noise the head is shown.
    widths
        Channels of its `LocalUNet` at half, quarter, ... of the image's resolution.
    crop_px, batch, steps, learning_rate
        Of the training.
    ema_decay
        How much the average of the weights keeps at each step.
    positive_weight
        What an altered pixel counts in the loss beside an authentic one.
    """

    levels_hu: tuple[float, ...] = (15.0, 26.0)
    widths: tuple[int, ...] = (32, 64, 96)
    crop_px: int = 128
    batch: int = 16
    steps: int = 6_000
    learning_rate: float = 1e-3
    ema_decay: float = 0.998
    positive_weight: float = 3.0

    def as_dict(self) -> dict[str, object]:
        """Return the settings as plain values."""
        return asdict(self)


class ForgeryHead(nn.Module):
    """Tell altered pixels from authentic ones.

    Strictly local like the noise predictor, so that a tile gives what the whole slice gives.

    Parameters
    ----------
    settings
        Its levels and widths.
    """

    def __init__(self, settings: HeadSettings) -> None:
        super().__init__()
        channels = 1 + len(settings.levels_hu)
        self.network = LocalUNet(LocalUNetSettings(widths=settings.widths, channels=channels))
        self.stride = self.network.stride

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Return log-odds.

        Parameters
        ----------
        image
            ``[n, 1, row, column]`` in model units; sides multiples of `stride`.
        noise
            ``[n, level, row, column]``: its standardised predicted noise.

        Returns
        -------
        ``[n, 1, row, column]``.
        """
        shown = torch.cat((image, noise * NOISE_SCALE), dim=1)
        level = torch.full((image.shape[0],), HEAD_LEVEL, dtype=image.dtype, device=image.device)
        logits: Tensor = self.network(shown, level)
        return logits


class HeadEnsemble(nn.Module):
    """Several heads in one network, for export: one channel a member.

    Parameters
    ----------
    members
        Trained heads of the same settings.
    """

    def __init__(self, members: list[ForgeryHead]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.stride = members[0].stride

    def forward(self, image: Tensor, noise: Tensor) -> Tensor:
        """Return log-odds ``[n, member, row, column]``; inputs as for `ForgeryHead.forward`."""
        return torch.cat([member(image, noise) for member in self.members], dim=1)
