"""The network of the in-painting diffusion model: a U-Net over a slice and its two neighbours."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_NEIGHBOURS = 3
_GROUPS = 8
_HEADS = 4
_CONDITION_WIDTH = 128
_FREQUENCIES = 8
# log(alpha / sigma) of the cosine schedule spans -7 to 6; the slowest wave must not repeat within it.
_SLOWEST = math.pi / 12
# At the highest level nothing is left of the image in float32, and the logarithm must stay finite.
_LEAST_SIGNAL = 1e-6
# Distances are told to the network as ratios to these, so that a usual scan is near zero.
_USUAL_SLICE_MM = 2.5
_USUAL_PIXEL_MM = 0.7


@dataclass(frozen=True)
class TripleUNetSettings:
    """What makes up a `TripleUNet`.

    Attributes
    ----------
    widths
        Channels at half, quarter, eighth, ... of the image's resolution; multiples of 8.
    blocks
        Residual blocks at each resolution, on the way down and again on the way up.
    """

    widths: tuple[int, ...] = (64, 96, 128, 128)
    blocks: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for a card."""
        return asdict(self)


class TripleUNet(nn.Module):
    """Predict the velocity of a noisy slice from itself and its two noisy neighbours.

    The velocity ``alpha * noise - sigma * start`` (Salimans & Ho 2022, arXiv 2202.00512, appendix D) has a use at
    every noise level, where the noise alone says nothing about the image at the highest ones.

    All slices of a stack are denoised side by side, so that what is drawn agrees from slice to slice, at any distance
    of the slices. The image enters by 2x2 pixel unshuffling (after FFDNet, Zhang et al. 2018, arXiv 1710.04026) beside
    its own high-pass over sigma: at the lowest levels the noise is a hundredth of the image's contrast.

    Parameters
    ----------
    settings
        Widths and depth.
    """

    # Image sides must be multiples of this, by unshuffling and the strided steps down.
    stride: int

    def __init__(self, settings: TripleUNetSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or TripleUNetSettings()
        widths, blocks = self.settings.widths, self.settings.blocks
        self.stride = 2 ** len(widths)
        self.condition = _Condition()
        self.stem = nn.Conv2d(2 * _NEIGHBOURS * 4, widths[0], 3, padding=1)
        self.down_stages = nn.ModuleList(_Stage(width, blocks) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in pairwise(widths))
        self.attention = _Attention(widths[-1])
        self.ups = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in pairwise(widths))
        self.up_stages = nn.ModuleList(_Stage(width, blocks) for width in widths[:-1])
        self.head = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, triples: Tensor, noise: Tensor, spacing_mm: Tensor) -> Tensor:
        """Predict the velocity of the middle slices.

        Parameters
        ----------
        triples
            ``[n, 3, row, column]``: noisy slices in model units, the wanted one in the middle; sides multiples of
            `stride`.
        noise
            ``[n]``: standard deviation sigma of the noise, above 0 and at most 1; the image is shrunk by
            sqrt(1 - sigma^2).
        spacing_mm
            ``[n, 2]``: distance of slices and of pixels.

        Returns
        -------
        ``[n, row, column]``.
        """
        condition = self.condition(noise, spacing_mm)
        detail = torch.asinh(_high_pass(triples) / noise[:, None, None, None])
        x = self.stem(functional.pixel_unshuffle(torch.cat((triples, detail), dim=1), 2))
        skips = []
        for depth, stage in enumerate(self.down_stages):
            x = stage(x, condition)
            if depth < len(self.downs):
                skips.append(x)
                x = self.downs[depth](x)
        x = self.attention(x)
        for depth in reversed(range(len(self.ups))):
            x = functional.pixel_shuffle(self.ups[depth](x), 2) + skips[depth]
            x = self.up_stages[depth](x, condition)
        return functional.pixel_shuffle(self.head(x), 2)[:, 0]


def cut_triples(stack: Tensor) -> Tensor:
    """Put each slice of a stack between its neighbours; the first and the last slice stand in for a missing one.

    Parameters
    ----------
    stack
        ``[slice, row, column]``.

    Returns
    -------
    ``[slice, 3, row, column]``.
    """
    before = torch.cat((stack[:1], stack[:-1]))
    after = torch.cat((stack[1:], stack[-1:]))
    return torch.stack((before, stack, after), dim=1)


class _Condition(nn.Module):
    """Turn noise level and distances into a vector that the stages are steered by."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies: Tensor
        waves = torch.arange(1, _FREQUENCIES + 1) * _SLOWEST
        self.register_buffer("frequencies", waves, persistent=False)
        self.mix = nn.Sequential(
            nn.Linear(2 * _FREQUENCIES + 2, _CONDITION_WIDTH),
            nn.SiLU(),
            nn.Linear(_CONDITION_WIDTH, _CONDITION_WIDTH),
            nn.SiLU(),
        )

    def forward(self, noise: Tensor, spacing_mm: Tensor) -> Tensor:
        half_log_snr = 0.5 * torch.log((1 - noise.square()).clamp_min(_LEAST_SIGNAL)) - torch.log(noise)
        phase = half_log_snr[:, None] * self.frequencies
        usual = torch.tensor([_USUAL_SLICE_MM, _USUAL_PIXEL_MM], device=spacing_mm.device)
        condition: Tensor = self.mix(torch.cat((phase.sin(), phase.cos(), torch.log(spacing_mm / usual)), dim=1))
        return condition


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
    """Two convolutions around a skip, scaled and shifted by the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.steer = nn.Linear(_CONDITION_WIDTH, 2 * width)
        # A block starts as the identity.
        for layer in (self.second, self.steer):
            nn.init.zeros_(layer.weight)
            assert layer.bias is not None  # only layers with one are made here
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.steer(condition)[:, :, None, None].chunk(2, dim=1)
        inner = functional.silu(self.first(functional.silu(self.norm(x))) * (1 + scale) + shift)
        out: Tensor = x + self.second(inner)
        return out


class _Attention(nn.Module):
    """Attention of every place to every other, at the coarsest resolution (Vaswani et al. 2017)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.to_qkv = nn.Conv2d(width, 3 * width, 1)
        self.to_out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.to_out.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, width, rows, columns = x.shape
        heads = self.to_qkv(self.norm(x)).reshape(n, 3, _HEADS, width // _HEADS, rows * columns)
        q, k, v = heads.transpose(-1, -2).unbind(dim=1)  # each [n, head, place, channel]
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(-1, -2)
        out: Tensor = x + self.to_out(mixed.reshape(n, width, rows, columns))
        return out


def _high_pass(image: Tensor) -> Tensor:
    """Subtract the mean of the 3x3 neighbourhood, the border repeated."""
    padded = functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return image - functional.avg_pool2d(padded, 3, stride=1)
