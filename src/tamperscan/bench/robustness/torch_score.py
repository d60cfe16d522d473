"""A detector's score of a slice in torch, as far as it can be differentiated.

The lungs, the tissues, the slice's own trend and what is typical of its anatomy are taken from the untreated slice and
held: a few HU hardly move them. The networks, the windows' statistics and the sum of both heads are computed anew.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from tamperscan.bench.robustness.copies import NetworkCopies
from tamperscan.detect.centring import anatomy_terms
from tamperscan.detect.heads import Combination
from tamperscan.detect.measure import SliceLook
from tamperscan.detect.regions import TISSUES
from tamperscan.detect.self_forged import LARGEST_ODDS
from tamperscan.detect.self_forged import SMOOTHING_MM as ODDS_MM
from tamperscan.detect.statistics import WINDOW_MM, grid_step, window_statistics
from tamperscan.detect.typicality import DOWN_WEIGHT, SMOOTHING_MM, Typicality, evidence, grid_map
from tamperscan.scan.windows import IntensityWindow

# Keeps logs and roots of zero differentiable.
_LEAST = 1e-6
_LEAST_SHARE = 1e-3
_WINDOW_REACH = 2.5
_MAP_REACH = 4.0


@dataclass(frozen=True, eq=False)
class Frame:
    """What is held of a slice.

    Attributes
    ----------
    look
        The part of the slice that the detector sees.
    z, steepness
        float32 ``[feature, row, column]`` on the coarse grid: standard deviations from what is typical, NaN where
        something is missing, and by how much they grow with the statistic.
    spacing_mm
        Distance between (rows, columns) in mm.
    """

    look: SliceLook
    z: NDArray[np.float32]
    steepness: NDArray[np.float32]
    spacing_mm: tuple[float, float]


def frame_of(look: SliceLook, typicality: Typicality, spacing_mm: tuple[float, float]) -> Frame:
    """Hold what is not differentiated of a slice."""
    statistics = window_statistics(look.hu, look.noise, look.inside, look.tissues, spacing_mm)
    spread = anatomy_terms(statistics) @ typicality.spread.T
    steepness = np.exp(-np.clip(spread, *typicality.spread_limits.T))
    z = evidence(statistics, typicality, spacing_mm).z
    return Frame(look, z, grid_map(steepness.T, statistics.inside), spacing_mm)


class TorchScore:
    """The suspicion of a slice's places.

    Parameters
    ----------
    networks
        Copies of the detector's.
    window
        Of the noise predictor.
    combination
        How the heads are added.
    frame
        What is held of the slice.
    """

    def __init__(
        self, networks: NetworkCopies, window: IntensityWindow, combination: Combination, frame: Frame
    ) -> None:
        self._networks, self._window, self._combination = networks, window, combination
        self.hu = torch.from_numpy(frame.look.hu)
        self._step = grid_step(frame.spacing_mm)
        self._pixel_mm = float(np.mean(frame.spacing_mm))
        self._lung = torch.from_numpy(frame.look.inside).float()
        tissues = [getattr(frame.look.tissues, name) for name in TISSUES]
        self._tissues = torch.from_numpy(np.stack(tissues)).float()
        self._known = torch.from_numpy(np.isfinite(frame.z))
        self._z, self._steepness = (torch.from_numpy(np.nan_to_num(each)) for each in (frame.z, frame.steepness))
        with torch.no_grad():
            self._start = self._statistics(self._networks(self._shown(self.hu))[0])

    def places(self, hu: Tensor) -> Tensor:
        """Return the suspicion of the places that are known, ``[place]``.

        Parameters
        ----------
        hu
            ``[row, column]``: the part of the slice that the detector sees.
        """
        noise, odds = self._networks(self._shown(hu))
        altered, known = self._altered(odds)
        inside = self._known.any(dim=0)
        both = self._typical(noise, inside) / self._combination.typicality_spread
        both = both + altered * known / self._combination.odds_spread
        return both[inside | known]

    def _shown(self, hu: Tensor) -> Tensor:
        shares = (hu - self._window.low) / self._window.width
        return (shares.clamp(0.0, 1.0) * 2.0 - 1.0)[None, None]

    def _typical(self, noise: Tensor, inside: Tensor) -> Tensor:
        moved = torch.where(self._known, self._statistics(noise) - self._start, 0.0)
        z = torch.where(self._known, self._z + moved * self._steepness, 0.0)
        distance = torch.maximum(_length(z.relu()), DOWN_WEIGHT * _length((-z).relu()))
        sigma = SMOOTHING_MM / (self._step * self._pixel_mm)
        weight = _gaussian(inside.float()[None], sigma, _MAP_REACH)[0].clamp(min=_LEAST_SHARE)
        return _gaussian((distance * inside)[None], sigma, _MAP_REACH)[0] / weight * inside

    def _altered(self, odds: Tensor) -> tuple[Tensor, Tensor]:
        """Return the suspicion of the self-forged head, and where it is known."""
        sigma = ODDS_MM / (self._step * self._pixel_mm)
        weight = self._blocks(self._lung[None])
        share = _gaussian(weight, sigma, _MAP_REACH).clamp(min=_LEAST_SHARE)
        clipped = odds.clamp(-LARGEST_ODDS, LARGEST_ODDS) * self._lung
        places = _gaussian(self._blocks(clipped), sigma, _MAP_REACH) / share
        return places.mean(dim=0) + LARGEST_ODDS, weight[0] > 0.5

    def _statistics(self, noise: Tensor) -> Tensor:
        """Return energy and whiteness by tissue, ``[feature, row, column]``; see `window_statistics`."""
        features = [self._of_tissue(noise, mask) for mask in self._tissues]
        energies, whiteness = zip(*features, strict=True)
        return torch.stack([*energies, *whiteness])

    def _of_tissue(self, noise: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        share = self._average(mask[None])[0].clamp(min=_LEAST)
        means = self._average(noise.square() * mask) / share
        right, below = mask[:, 1:] * mask[:, :-1], mask[1:] * mask[:-1]
        sums = functional.pad((noise[:, :, 1:] * noise[:, :, :-1]).sum(dim=0) * right, (0, 1))
        sums = sums + functional.pad((noise[:, 1:] * noise[:, :-1]).sum(dim=0) * below, (0, 0, 0, 1))
        pairs = functional.pad(right, (0, 1)) + functional.pad(below, (0, 0, 0, 1))
        shared = self._average(sums[None])[0] / self._average(pairs[None])[0].clamp(min=_LEAST)
        return (means + _LEAST).log().mean(dim=0), 1.0 - shared / (means.sum(dim=0) + _LEAST)

    def _average(self, maps: Tensor) -> Tensor:
        return _gaussian(self._blocks(maps), WINDOW_MM / (self._step * self._pixel_mm), _WINDOW_REACH)

    def _blocks(self, maps: Tensor) -> Tensor:
        return functional.avg_pool2d(maps[None], self._step)[0]


def _length(vectors: Tensor) -> Tensor:
    return (vectors.square().sum(dim=0) + _LEAST).sqrt()


def _gaussian(maps: Tensor, sigma: float, reach: float) -> Tensor:
    """Smooth ``[map, row, column]`` by a Gaussian, zeros beyond the border, as `scipy.ndimage.gaussian_filter` does."""
    radius = math.floor(reach * sigma + 0.5)
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    down = functional.conv2d(maps[:, None], kernel[None, None, :, None], padding=(radius, 0))
    return functional.conv2d(down, kernel[None, None, None, :], padding=(0, radius))[:, 0]
