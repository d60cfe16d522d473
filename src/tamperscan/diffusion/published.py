"""The published network: the U-Net that Back-in-Time Diffusion was trained with.

It is written to read checkpoints of the official code, so every parameter has the name and shape it has
there, and the output is the same to float32 rounding. There are two layouts:

``"1.8.3"``
    ``Unet`` of denoising_diffusion_pytorch 1.8.3, which the official README loads its checkpoints into: plain
    convolutions, root-mean-square norm, full attention in the last stage and the middle.
``"weight-standardised"``
    The older ``Unet`` that the official training scripts carry: weight-standardised convolutions, layer norm
    over channels, full attention in the middle only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tamperscan.errors import WeightsError

Variant = Literal["1.8.3", "weight-standardised"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

DIM = 32
DIM_MULTS = (1, 2, 4, 8)
GROUPS = 8
HEADS = 4
HEAD_DIM = 32
NORM_EPS = 1e-5


class PublishedUNet(nn.Module):
    """Noise predictor eps(x_t, t) of the published detector.

    Parameters
    ----------
    dim
        Channels of the first stage, a multiple of 8; 32 in the published checkpoints.
    dim_mults
        Channels of each stage as multiples of dim. Images have to have a side that divides by 2 once for each
        stage but the last: by 8 for the published four.
    channels
        Channels of the image.
    variant
        Which layout, see the head of this module.

    Raises
    ------
    ValueError
        If the variant is unknown or dim doesn't divide by 8.

    Notes
    -----
    Group norm and attention see the whole image, so a tile and the slice it was cut from give other values:
    use tiles of the size of training (96 px CT, 128 px MR). With the published sizes, 9.2 M parameters.
    """

    def __init__(
        self,
        dim: int = DIM,
        dim_mults: tuple[int, ...] = DIM_MULTS,
        channels: int = 1,
        variant: Variant = "1.8.3",
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"There is no network variant '{variant}': choose one of {', '.join(VARIANTS)}.")
        if dim % GROUPS:
            raise ValueError(f"The network's dim has to divide by {GROUPS}, and {dim} doesn't.")
        self.variant: Variant = variant
        widths = [dim, *(dim * mult for mult in dim_mults)]
        pairs = list(enumerate(pairwise(widths)))
        last = len(pairs) - 1
        block = partial(_ResidualBlock, time_dim=dim * 4, variant=variant)
        attention = partial(_attention, variant=variant)
        full = [variant == "1.8.3" and stage == last for stage, _ in pairs]

        self.init_conv = nn.Conv2d(channels, dim, 7, padding=3)
        self.time_mlp = nn.Sequential(
            _SinusoidalEmbedding(dim), nn.Linear(dim, dim * 4), nn.GELU(), nn.Linear(dim * 4, dim * 4)
        )
        self.downs = nn.ModuleList(
            _stage(
                block(narrow, narrow),
                block(narrow, narrow),
                attention(narrow, full=full[stage]),
                _downsample(narrow, wide) if stage < last else _convolution(narrow, wide),
            )
            for stage, (narrow, wide) in pairs
        )
        middle = widths[-1]
        self.mid_block1 = block(middle, middle)
        self.mid_attn = attention(middle, full=True)
        self.mid_block2 = block(middle, middle)
        self.ups = nn.ModuleList(
            _stage(
                block(wide + narrow, wide),
                block(wide + narrow, wide),
                attention(wide, full=full[stage]),
                _upsample(wide, narrow) if stage > 0 else _convolution(wide, narrow),
            )
            for stage, (narrow, wide) in reversed(pairs)
        )
        self.final_res_block = block(dim * 2, dim)
        self.final_conv = nn.Conv2d(dim, channels, 1)

    def forward(self, image: Tensor, t: Tensor) -> Tensor:
        """Predict the noise in images.

        Parameters
        ----------
        image
            ``[n, channels, row, column]`` in model units, ``[-1, 1]``.
        t
            ``[n]`` levels, 0 to 999, of any number type.

        Returns
        -------
        torch.Tensor
            Predicted noise, same shape as image; of unit variance where the prediction is right.
        """
        x = self.init_conv(image)
        first = x
        time = self.time_mlp(t)
        skips: list[Tensor] = []
        for block1, block2, attention, downsample in _parts(self.downs):
            x = block1(x, time)
            skips.append(x)
            x = block2(x, time)
            x = x + attention(x)
            skips.append(x)
            x = downsample(x)
        x = self.mid_block1(x, time)
        x = x + self.mid_attn(x)
        x = self.mid_block2(x, time)
        for block1, block2, attention, upsample in _parts(self.ups):
            x = block1(torch.cat([x, skips.pop()], dim=1), time)
            x = block2(torch.cat([x, skips.pop()], dim=1), time)
            x = x + attention(x)
            x = upsample(x)
        x = self.final_res_block(torch.cat([x, first], dim=1), time)
        noise: Tensor = self.final_conv(x)
        return noise


def variant_of(state_dict: Mapping[str, object]) -> Variant:
    """Tell which layout a state dict of the network has, by its names.

    Parameters
    ----------
    state_dict
        Names without a prefix: ``mid_attn...``, not ``model.mid_attn...``.

    Raises
    ------
    WeightsError
        If it is neither.
    """
    if "mid_attn.fn.norm.g" in state_dict:
        return "weight-standardised"
    if "mid_attn.norm.g" in state_dict:
        return "1.8.3"
    raise WeightsError(
        "These weights are not of the published network: there is no norm of the middle attention among them "
        "(mid_attn.norm.g or mid_attn.fn.norm.g). Give a checkpoint of the official code."
    )


class _SinusoidalEmbedding(nn.Module):
    """Levels ``[n]`` as sines and cosines of falling frequency, ``[n, dim]`` (Vaswani et al. 2017)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.frequencies = dim // 2

    def forward(self, t: Tensor) -> Tensor:
        steps = torch.arange(self.frequencies, device=t.device, dtype=torch.float32)
        angles = t[:, None] * torch.exp(steps * (-math.log(10000) / (self.frequencies - 1)))
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


class _StandardisedConv(nn.Conv2d):
    """Convolution whose weights have mean 0 and variance 1 for each output channel (arXiv 1903.10520)."""

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), correction=0, keepdim=True)
        weight = (self.weight - mean) * (variance + NORM_EPS).rsqrt()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class _RootMeanSquareNorm(nn.Module):
    """Scale each pixel's channels to a root mean square of 1, then by a learned gain."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * self.g * math.sqrt(x.shape[1])


class _ChannelNorm(nn.Module):
    """Bring each pixel's channels to mean 0 and variance 1, then scale by a learned gain."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1, dim, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, correction=0, keepdim=True)
        return (x - mean) * (variance + NORM_EPS).rsqrt() * self.g


class _Block(nn.Module):
    def __init__(self, dim_in: int, dim_out: int, variant: Variant) -> None:
        super().__init__()
        convolution = nn.Conv2d if variant == "1.8.3" else _StandardisedConv
        self.proj = convolution(dim_in, dim_out, 3, padding=1)
        self.norm = nn.GroupNorm(GROUPS, dim_out)

    def forward(self, x: Tensor, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
        x = self.norm(self.proj(x))
        if scale is not None and shift is not None:
            x = x * (scale + 1) + shift
        return F.silu(x)


class _ResidualBlock(nn.Module):
    """Two convolutions, the first one scaled and shifted by the level, and a way around them."""

    def __init__(self, dim_in: int, dim_out: int, time_dim: int, variant: Variant) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.SiLU(), nn.Linear(time_dim, dim_out * 2))
        self.block1 = _Block(dim_in, dim_out, variant)
        self.block2 = _Block(dim_out, dim_out, variant)
        self.res_conv = nn.Identity() if dim_in == dim_out else nn.Conv2d(dim_in, dim_out, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.mlp(time)[:, :, None, None].chunk(2, dim=1)
        h = self.block2(self.block1(x, scale, shift))
        out: Tensor = h + self.res_conv(x)
        return out


class _LinearAttention(nn.Module):
    """Attention of linear cost: keys and values are summed up first (Shen et al. 2021, arXiv 1812.01243)."""

    def __init__(self, dim: int, variant: Variant) -> None:
        super().__init__()
        self.mean_of_values = variant == "weight-standardised"
        self.norm = _inner_norm(dim, variant)
        self.to_qkv = nn.Conv2d(dim, HEADS * HEAD_DIM * 3, 1, bias=False)
        self.to_out = nn.Sequential(nn.Conv2d(HEADS * HEAD_DIM, dim, 1), _norm(dim, variant))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        q, k, v = _heads(self.to_qkv(self.norm(x)))  # each [n, head, channel, pixel]
        q = q.softmax(dim=-2) * HEAD_DIM**-0.5
        k = k.softmax(dim=-1)
        if self.mean_of_values:
            v = v / (height * width)
        context = k @ v.transpose(-1, -2)  # [n, head, key channel, value channel]
        out: Tensor = self.to_out((context.transpose(-1, -2) @ q).reshape(-1, HEADS * HEAD_DIM, height, width))
        return out


class _FullAttention(nn.Module):
    """Attention of every pixel to every other (Vaswani et al. 2017)."""

    def __init__(self, dim: int, variant: Variant) -> None:
        super().__init__()
        self.norm = _inner_norm(dim, variant)
        self.to_qkv = nn.Conv2d(dim, HEADS * HEAD_DIM * 3, 1, bias=False)
        self.to_out = nn.Conv2d(HEADS * HEAD_DIM, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        q, k, v = (part.transpose(-1, -2) for part in _heads(self.to_qkv(self.norm(x))))
        mixed = F.scaled_dot_product_attention(q, k, v)  # [n, head, pixel, channel]
        out: Tensor = self.to_out(mixed.transpose(-1, -2).reshape(-1, HEADS * HEAD_DIM, height, width))
        return out


class _Wrapped(nn.Module):
    """One more level of names, ``fn``, around a module; the older layout has its residual sum there."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fn(x)
        return out


class _PreNorm(nn.Module):
    def __init__(self, dim: int, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn
        self.norm = _ChannelNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fn(self.norm(x))
        return out


def _attention(dim: int, variant: Variant, *, full: bool) -> nn.Module:
    attention = _FullAttention(dim, variant) if full else _LinearAttention(dim, variant)
    return attention if variant == "1.8.3" else _Wrapped(_PreNorm(dim, attention))


def _norm(dim: int, variant: Variant) -> nn.Module:
    return _RootMeanSquareNorm(dim) if variant == "1.8.3" else _ChannelNorm(dim)


def _inner_norm(dim: int, variant: Variant) -> nn.Module:
    # The older layout has its norm in front of the attention (_PreNorm), the newer one inside.
    return _RootMeanSquareNorm(dim) if variant == "1.8.3" else nn.Identity()


def _heads(qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut ``[n, 3 * head * channel, row, column]`` into q, k and v, each ``[n, head, channel, pixel]``."""
    n, _, height, width = qkv.shape
    q, k, v = qkv.reshape(n, 3, HEADS, HEAD_DIM, height * width).unbind(dim=1)
    return q, k, v


def _stage(block1: nn.Module, block2: nn.Module, attention: nn.Module, resample: nn.Module) -> nn.ModuleList:
    """One resolution; a list and not a class, because its parts go by number in a checkpoint."""
    return nn.ModuleList([block1, block2, attention, resample])


def _parts(stages: nn.ModuleList) -> Iterator[nn.ModuleList]:
    return (cast(nn.ModuleList, stage) for stage in stages)


def _downsample(dim: int, dim_out: int) -> nn.Sequential:
    return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(dim * 4, dim_out, 1))


def _upsample(dim: int, dim_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), _convolution(dim, dim_out))


def _convolution(dim: int, dim_out: int) -> nn.Conv2d:
    return nn.Conv2d(dim, dim_out, 3, padding=1)
