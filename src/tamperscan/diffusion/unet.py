"""The small network that predicts low noise: norm-free, without attention, strictly local."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

# Spread of the sines that carry log(sigma); the levels in use span e^-6 to e^0 in model units.
_FREQUENCIES = 8
_CONDITION_WIDTH = 64


@dataclass(frozen=True)
class LocalUNetSettings:
    """What makes up a `LocalUNet`.

    Attributes
    ----------
    widths
        Channels at half, quarter, eighth, ... of the image's resolution.
    blocks
        Residual blocks at each resolution, on the way down and again on the way up.
    channels
        Input channels of the image (1, or more with neighbouring slices).
    outputs
        Maps that are predicted (1, or one a noise level for a network that gives several at once).
    """

    widths: tuple[int, ...] = (32, 64, 96)
    blocks: int = 1
    channels: int = 1
    outputs: int = 1

    def as_dict(self) -> dict[str, object]:
        """Return the settings as plain values, for a card."""
        return asdict(self)


class LocalUNet(nn.Module):
    """Predict the noise in an image, given its level.

    The image enters by 2x2 pixel unshuffling, so that all convolutions run at half resolution or below (after FFDNet,
    Zhang et al. 2018, arXiv 1710.04026). A second input holds the image's high-pass over sigma: at 5 HU the noise is
    a hundredth of the contrast of the image, and a small network would spend its weights on the amplification alone.
    There is no normalisation and no attention: a pixel's prediction depends on its surroundings only, so that a
    tile gives what the whole slice gives.

    Parameters
    ----------
    settings
        Widths and depth.
    """

    # Image sides must be multiples of this, by unshuffling and the strided steps down.
    stride: int

    def __init__(self, settings: LocalUNetSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or LocalUNetSettings()
        widths = self.settings.widths
        self.stride = 2 ** len(widths)
        self.condition = _NoiseCondition()
        self.stem = nn.Conv2d(8 * self.settings.channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(_Stage(width, self.settings.blocks) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.up_blocks = nn.ModuleList(_Stage(width, self.settings.blocks) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4 * self.settings.outputs, 3, padding=1)

    def forward(self, image: Tensor, sigma: Tensor) -> Tensor:
        """Predict the standardised noise.

        Parameters
        ----------
        image
            ``[n, channels, row, column]`` in model units; rows and columns multiples of `stride`.
        sigma
            ``[n]``: the noise level in model units.

        Returns
        -------
        ``[n, outputs, row, column]``: the noise over sigma.
        """
        condition = self.condition(sigma)
        fine = torch.asinh(_high_pass(image) / sigma[:, None, None, None])
        x = self.stem(functional.pixel_unshuffle(torch.cat((image, fine), dim=1), 2))
        skips = []
        for depth, stage in enumerate(self.down_blocks):
            x = stage(x, condition)
            if depth < len(self.downs):
                skips.append(x)
                x = self.downs[depth](x)
        for depth in reversed(range(len(self.ups))):
            x = functional.pixel_shuffle(self.ups[depth](x), 2) + skips[depth]
            x = self.up_blocks[depth](x, condition)
        return functional.pixel_shuffle(self.head(x), 2)


class _NoiseCondition(nn.Module):
    """Turn sigma into a vector that the stages are steered by."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.arange(1, _FREQUENCIES + 1) * (math.pi / 8), persistent=False)
        self.mix = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES, _CONDITION_WIDTH),
            nn.ReLU(),
            nn.Linear(_CONDITION_WIDTH, _CONDITION_WIDTH),
        )

    def forward(self, sigma: Tensor) -> Tensor:
        phase = torch.log(sigma)[:, None] * self.frequencies
        return functional.relu(self.mix(torch.cat((phase.sin(), phase.cos()), dim=1)))


class _Stage(nn.Module):
    """Residual blocks at one resolution."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width) for _ in range(blocks))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return x


class _Block(nn.Module):
    """Two convolutions around a skip, scaled and shifted by the noise level."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.steer = nn.Linear(_CONDITION_WIDTH, 2 * width)
        # A block starts as the identity: without normalisation this keeps the signal's scale from the first step on.
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(_bias(self.second))
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.steer(condition)[:, :, None, None].chunk(2, dim=1)
        inner = functional.relu(self.first(functional.relu(x)) * (1 + scale) + shift)
        out: Tensor = x + self.second(inner)
        return out


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None  # only layers with one are made here
    return layer.bias


def _high_pass(image: Tensor) -> Tensor:
    """Subtract the mean of the 3x3 neighbourhood, the border repeated."""
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return image - functional.avg_pool2d(padded, 3, stride=1)
