"""Generator, critic and encoder of 64 px patches, for f-AnoGAN."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

# Patches are 64 px: four halvings lead to 4 x 4 places.
_SMALLEST = 4


class Generator(nn.Module):
    """Makes a patch from a latent vector.

    Parameters
    ----------
    width
        Channels at 32 px; the resolutions below have twice, three and four times as many.
    latent
        Numbers of the latent vector.
    """

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self._start = 4 * width
        self.project = nn.Linear(latent, self._start * _SMALLEST**2)
        widths = (4 * width, 3 * width, 2 * width, width)
        layers: list[nn.Module] = []
        for wide, narrow in zip(widths, (*widths[1:], width), strict=True):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(wide, narrow, 3, padding=1)]
            layers += [nn.GroupNorm(1, narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, padding=1), nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """Make patches ``[n, 1, 64, 64]`` in model units from ``[n, latent]``."""
        start = self.project(latents).unflatten(1, (self._start, _SMALLEST, _SMALLEST))
        out: Tensor = self.layers(start)
        return out


class Critic(nn.Module):
    """Scores patches; what it sees before the last layer are its features.

    Parameters
    ----------
    width
        Channels at 32 px.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _body(width)
        self.head = nn.Linear(4 * width * _SMALLEST**2, 1)

    def forward(self, patches: Tensor) -> Tensor:
        """Score patches, ``[n, 1]``."""
        out: Tensor = self.head(self.features(patches).flatten(1))
        return out

    def features(self, patches: Tensor) -> Tensor:
        """Return the features of patches, ``[n, channel, 4, 4]``."""
        out: Tensor = self.body(patches)
        return out


class Encoder(nn.Module):
    """Guesses the latent vector of a patch.

    Parameters
    ----------
    width, latent
        As for `Generator`.
    """

    def __init__(self, width: int, latent: int) -> None:
        super().__init__()
        self.body = _body(width)
        self.head = nn.Linear(4 * width * _SMALLEST**2, latent)

    def forward(self, patches: Tensor) -> Tensor:
        """Return latent vectors, ``[n, latent]``."""
        out: Tensor = self.head(self.body(patches).flatten(1))
        return out


def gradient_penalty(critic: nn.Module, patches: Tensor) -> Tensor:
    """Return how far the critic's slope is from one (Gulrajani et al. 2017, arXiv 1704.00028, eq. 3)."""
    patches = patches.detach().requires_grad_(True)
    (slope,) = torch.autograd.grad(critic(patches).sum(), patches, create_graph=True)
    penalty: Tensor = (slope.flatten(1).norm(dim=1) - 1).square().mean()
    return penalty


def _body(width: int) -> nn.Sequential:
    """Halve a patch four times; normalised by patch, not by batch, as the gradient penalty asks for."""
    widths = (1, width, 2 * width, 3 * width, 4 * width)
    layers: list[nn.Module] = []
    for depth, (narrow, wide) in enumerate(pairwise(widths)):
        layers.append(nn.Conv2d(narrow, wide, 4, stride=2, padding=1))
        layers += [nn.GroupNorm(1, wide)] if depth else []
        layers.append(nn.LeakyReLU(0.2))
    return nn.Sequential(*layers)
