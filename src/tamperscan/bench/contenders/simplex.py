"""Simplex noise in octaves: structured noise, from blobs as large as an organ down to single pixels.

After AnoDDPM (Wyatt et al. 2022, section 3): an octave has half the size and 0.8 times the strength of the one
before it. The noise itself is slow to compute, so each octave is drawn once as a plane; a draw takes from every plane
a part at a random place, turned over and with a random sign.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

FREQUENCY = 2.0**-6
OCTAVES = 6
DECAY = 0.8
PLANE_PX = 384
SIMPLEX = {"frequency": FREQUENCY, "octaves": OCTAVES, "decay": DECAY}
"""What decides the noise, for a contender's settings."""
_SEED = 0


class SimplexNoise(nn.Module):
    """Planes of simplex noise, kept and loaded like weights.

    Parameters
    ----------
    plane_px
        Side of a plane; what is larger is drawn from its mirror images.
    """

    planes: Tensor

    def __init__(self, plane_px: int = PLANE_PX) -> None:
        super().__init__()
        self.register_buffer("planes", torch.zeros(OCTAVES, plane_px, plane_px))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Draw noise of shape ``[..., row, column]``, every image by itself; the first draw computes the planes."""
        if not bool(self.planes.any()):
            self.planes.copy_(torch.from_numpy(_planes(self.planes.shape[-1])))
        *count, rows, columns = shape
        images = [self._one(rng, rows, columns) for _ in range(int(np.prod(count)))]
        return np.stack(images).reshape(shape)

    def _one(self, rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float32]:
        total = np.zeros((rows, columns), dtype=np.float32)
        for octave, plane in enumerate(self.planes.cpu().numpy()):
            turned = plane.T if rng.random() < 0.5 else plane
            sign = 1.0 if rng.random() < 0.5 else -1.0
            part = turned[np.ix_(_mirrored(rng, rows, len(plane)), _mirrored(rng, columns, len(plane)))]
            total += np.float32(sign * DECAY**octave) * part
        return total


def _mirrored(rng: np.random.Generator, count: int, side: int) -> NDArray[np.intp]:
    """Return ``count`` indices from a random place on, turning back at both ends of a plane."""
    place = (np.arange(count) + rng.integers(2 * side)) % (2 * side)
    return np.where(place < side, place, 2 * side - 1 - place)


def _planes(side: int) -> NDArray[np.float32]:
    """Compute the octaves, ``[octave, row, column]``; every one has a seed of its own."""
    from opensimplex import OpenSimplex

    planes = []
    for octave in range(OCTAVES):
        along = np.arange(side) * FREQUENCY * 2**octave
        planes.append(OpenSimplex(_SEED + octave).noise2array(along, along))
    return np.stack(planes).astype(np.float32)
