"""In-painting with a diffusion model that never saw a mask: RePaint, with soft borders and a guide.

The known part is noised anew at each level and put beside what the model draws, and now and then the whole is noised
back by some levels, so that the two can agree (Lugmayr et al. 2022, arXiv 2201.09865, algorithm 1). Two things are
added:

- Each voxel has a level of its own from which on it is free. Towards the border it comes later and later, so that what
  lies there keeps its coarse content and gets new fine detail only. So there is no seam, and no zone in which old and
  new noise are averaged away (after Levin & Fried 2023, arXiv 2306.00950).
- What is known may be a guide: where a rough nodule is pasted in, or a lesion filled in, and the core is free from a
  middle level on, the model finishes it instead of inventing tissue (SDEdit, Meng et al. 2021, arXiv 2108.01073).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.schedule import NoiseSchedule
from tamperscan.forge.site import Voxels

# Spends more steps on low levels, where the texture is drawn.
_LEVEL_POWER = 2.0

Predict = Callable[[Voxels, float], Voxels]
"""From a noisy stack ``[slice, row, column]`` and the standard deviation of its noise to its velocity."""


def spread_levels(start: int, steps: int) -> NDArray[np.int64]:
    """Choose the levels to visit, from 0 to ``start``, closer together at the low end; at most ``steps`` of them."""
    spread = start * np.linspace(0.0, 1.0, steps) ** _LEVEL_POWER
    return np.unique(np.rint(spread).astype(np.int64))


def respace(schedule: NoiseSchedule, levels: NDArray[np.int64]) -> NoiseSchedule:
    """Leave out all levels but some (Nichol & Dhariwal 2021, arXiv 2102.09672, section 4)."""
    abar = schedule.alphas_cumprod[levels]
    return NoiseSchedule(f"{schedule.name}, respaced", 1.0 - abar / np.concatenate([[1.0], abar[:-1]]))


def repaint_path(levels: int, jump: int, rounds: int) -> list[int]:
    """List the levels in the order of visits, from the highest to -1, the finished image.

    Parameters
    ----------
    levels
        How many levels there are.
    jump
        After this many steps down, as many are taken back.
    rounds
        How often each stretch of ``jump`` steps is gone down; 1 for plain sampling.
    """
    path = [levels - 1]
    left = dict.fromkeys(range(levels - 1 - jump, -1, -jump), rounds - 1)
    while path[-1] >= 0:
        if left.get(path[-1], 0) > 0:
            left[path[-1]] -= 1
            path.append(path[-1] + jump)
        else:
            path.append(path[-1] - 1)
    return path


def inpaint(
    predict: Predict,
    guide: Voxels,
    release: Voxels,
    schedule: NoiseSchedule,
    rng: np.random.Generator,
    *,
    steps: int,
    jump: int,
    rounds: int,
) -> Voxels:
    """Draw the free voxels of a stack anew, so that they agree with the others.

    Parameters
    ----------
    predict
        The model.
    guide
        float32 ``[slice, row, column]`` in model units: what is known, and the guide for what is to be drawn.
    release
        float32, same shape, 0 to 1: from which share of the noise levels on a voxel is free; 0 for never, 1 for one of
        which nothing is known.
    schedule
        What the model was trained with.
    rng
        Decides all noise.
    steps
        Levels to visit.
    jump, rounds
        Resampling, as for `repaint_path`.

    Returns
    -------
    float32, same shape, in model units; equal to the guide where ``release`` is 0.
    """
    top = schedule.timesteps - 1
    levels = spread_levels(round(float(release.max()) * top), steps)
    spaced = respace(schedule, levels)
    first_free = release * top
    path = repaint_path(len(levels), jump, rounds)
    stack = _noised(guide, spaced, path[0], rng)
    for here, there in pairwise(path):
        if there > here:
            stack = _noise_back(stack, spaced, here, there, rng)
            continue
        stack = _step_down(predict, stack, spaced, here)
        if there >= 0:
            stack = np.where(first_free < levels[there], _noised(guide, spaced, there, rng), stack)
    drawn: Voxels = np.where(release > 0.0, stack, guide)
    return drawn


def _noised(image: Voxels, schedule: NoiseSchedule, level: int, rng: np.random.Generator) -> Voxels:
    """Draw x_t given x_0 (Ho et al. 2020, arXiv 2006.11239, eq. 4)."""
    abar = schedule.alphas_cumprod[level]
    return _mix(np.sqrt(abar), image, np.sqrt(1.0 - abar), _noise(image, rng))


def _noise_back(stack: Voxels, schedule: NoiseSchedule, low: int, high: int, rng: np.random.Generator) -> Voxels:
    """Draw x_high given x_low."""
    keep = schedule.alphas_cumprod[high] / schedule.alphas_cumprod[low]
    return _mix(np.sqrt(keep), stack, np.sqrt(1.0 - keep), _noise(stack, rng))


def _step_down(predict: Predict, stack: Voxels, schedule: NoiseSchedule, level: int) -> Voxels:
    """Go from x_t to x_{t-1} along the model's flow, adding no noise (Song et al. 2021, arXiv 2010.02502, eq. 12).

    A random step (Ho et al. 2020, eq. 7) leaves out the model's own uncertainty of the start, and with few steps the
    texture comes out too smooth. What is random here comes from the start and from the way back.
    """
    sigma = schedule.sigma(level)
    start = _mix(np.sqrt(1.0 - sigma**2), stack, -sigma, predict(stack, sigma)).clip(-1.0, 1.0)
    noise = _mix(1.0 / sigma, stack, -np.sqrt(1.0 - sigma**2) / sigma, start)
    before = schedule.alphas_cumprod_prev[level]
    return _mix(np.sqrt(before), start, np.sqrt(1.0 - before), noise)


def _mix(a: float, x: Voxels, b: float, y: Voxels) -> Voxels:
    mixed: Voxels = np.float32(a) * x + np.float32(b) * y
    return mixed


def _noise(like: Voxels, rng: np.random.Generator) -> Voxels:
    return rng.standard_normal(like.shape, dtype=np.float32)
