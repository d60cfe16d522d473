"""The generator and the discriminator of the in-painting GAN, in three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

CONDITION_CHANNELS: Final = 4
"""What both networks are told: the cube without its core, the core, noise, and the shape to put in."""

_GROUP = 8
_FINE = 8
_SLOPE = 0.2


@dataclass(frozen=True)
class GanSettings:
    """What makes up the two networks.

    Attributes
    ----------
    widths
        Channels of the generator at 2, 4, 8, ... voxels; multiples of 8.
    blocks
        Residual blocks at the coarsest resolution.
    critic_widths
        Channels of the discriminator at the same resolutions.
    """

    widths: tuple[int, ...] = (48, 96, 96)
    blocks: int = 1
    critic_widths: tuple[int, ...] = (32, 64, 128)

    def as_dict(self) -> dict[str, object]:
        """Return the settings as plain values, for a card."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_card(cls, facts: Mapping[str, Any]) -> GanSettings:
        """Make settings of what `as_dict` gave, after a way through JSON."""
        return cls(tuple(facts["widths"]), int(facts["blocks"]), tuple(facts["critic_widths"]))


class Generator(nn.Module):
    """Complete a cube whose core is masked out.

    A U-Net with skips, as in pix2pix (Isola et al. 2017, arXiv 1611.07004, section 3.2.1) and CT-GAN, with group
    instead of batch normalisation: a single cube gives what it would give in a batch. Nearly all of it works at half
    resolution or below; two thin layers bring the details in at the end.

    Parameters
    ----------
    settings
        Widths and depth.
    """

    def __init__(self, settings: GanSettings | None = None) -> None:
        super().__init__()
        self.settings = settings or GanSettings()
        widths = self.settings.widths
        self.stem = nn.Conv3d(CONDITION_CHANNELS, widths[0], 4, stride=2, padding=1)
        self.downs = nn.ModuleList(nn.Conv3d(a, b, 4, stride=2, padding=1) for a, b in pairwise(widths))
        self.down_blocks = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.bottom = nn.Sequential(*(_Block(widths[-1]) for _ in range(self.settings.blocks)))
        self.ups = nn.ModuleList(nn.Conv3d(b, a, 1) for a, b in pairwise(widths))
        self.joins = nn.ModuleList(nn.Conv3d(2 * width, width, 3, padding=1) for width in widths[:-1])
        self.up_steps = nn.ModuleList(_Step(width) for width in widths[:-1])
        self.fine = nn.Conv3d(widths[0], _FINE, 1)
        self.head = nn.Sequential(
            nn.Conv3d(_FINE + CONDITION_CHANNELS, 2 * _FINE, 3, padding=1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv3d(2 * _FINE, 1, 3, padding=1),
            nn.Tanh(),
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Complete cubes.

        Parameters
        ----------
        condition
            ``[n, 4, depth, row, column]``, as from `condition_of`; sides are multiples of 8.

        Returns
        -------
        ``[n, 1, depth, row, column]`` from -1 to 1: the whole cube, core and surroundings.
        """
        x = self.stem(condition)
        skips = []
        for block, down in zip(self.down_blocks, self.downs, strict=True):
            x = block(x)
            skips.append(x)
            x = down(functional.leaky_relu(x, _SLOPE))
        x = self.bottom(x)
        for level in reversed(range(len(skips))):
            x = self.joins[level](torch.cat((_enlarge(self.ups[level](x)), skips[level]), dim=1))
            x = self.up_steps[level](x)
        fine = functional.leaky_relu(_enlarge(self.fine(x)), _SLOPE)
        out: Tensor = self.head(torch.cat((fine, condition), dim=1))
        return out


class Discriminator(nn.Module):
    """Tell real cubes from completed ones, patch by patch, given the condition (pix2pix, section 3.2.2).

    Parameters
    ----------
    settings
        Widths and depth.
    """

    def __init__(self, settings: GanSettings | None = None) -> None:
        super().__init__()
        widths = (settings or GanSettings()).critic_widths
        finer = (1 + CONDITION_CHANNELS, *widths)
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv3d(a, b, 4, stride=2, padding=1)) for a, b in zip(finer, widths, strict=False)
        )
        # Judged at every resolution: the texture of a few voxels as well as the shape of the whole.
        self.heads = nn.ModuleList(spectral_norm(nn.Conv3d(width, 1, 3, padding=1)) for width in widths)

    def forward(self, cube: Tensor, condition: Tensor) -> list[Tensor]:
        """Judge cubes.

        Parameters
        ----------
        cube
            ``[n, 1, depth, row, column]``.
        condition
            ``[n, 4, depth, row, column]``.

        Returns
        -------
        One tensor ``[n, 1, depth, row, column]`` for each coarser resolution: about 1 where it looks real, 0 where not.
        """
        x = torch.cat((cube, condition), dim=1)
        verdicts = []
        for layer, head in zip(self.layers, self.heads, strict=True):
            x = functional.leaky_relu(layer(x), _SLOPE)
            verdicts.append(head(x))
        return verdicts


def condition_of(cube: Tensor, core: Tensor, noise: Tensor, shape: Tensor) -> Tensor:
    """Put together what the networks are told.

    Parameters
    ----------
    cube, core, noise, shape
        ``[n, 1, depth, row, column]``: the cube in model units; 1 in its core; standard normal noise, which is seen in
        the core only and decides what can't be known; and roughly what to put in, 0 to 1 (all 0 for a removal).
    """
    return torch.cat((cube * (1 - core), core, noise * core, shape), dim=1)


def _enlarge(x: Tensor) -> Tensor:
    # By repeating: strided transposed convolutions leave a chequered pattern.
    return functional.interpolate(x, scale_factor=2, mode="nearest")


class _Step(nn.Module):
    """Normalise, activate, convolve."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(width // _GROUP, width)
        self.conv = nn.Conv3d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(functional.leaky_relu(self.norm(x), _SLOPE))
        return out


class _Block(nn.Module):
    """Two steps around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(_Step(width), _Step(width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.steps(x)
        return out
