"""The one step back in time (arXiv 2407.15169): what a denoiser would take off an image.

The suspect image x_0 is treated as if it were the noisy image of level t, and one reverse step is made
without adding noise. What the step takes away, x_0 - x_-1, is the signal for detection. Images are in model
units, ``[-1, 1]``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tamperscan.diffusion.schedule import NoiseSchedule

Image = NDArray[np.floating]


def predicted_start(x0: Image, eps: Image, schedule: NoiseSchedule, t: int = 0, *, clip: bool = True) -> Image:
    """Clean image that the predicted noise implies: (x - sqrt(1 - abar) eps) / sqrt(abar).

    Parameters
    ----------
    x0
        Image in model units, of any shape.
    eps
        Noise predicted for x0 at level t, same shape, of unit variance where the prediction is right.
    schedule, t
        Noise schedule and level.
    clip
        Clamp to ``[-1, 1]``, as ``p_sample`` of denoising_diffusion_pytorch does.

    Raises
    ------
    ValueError
        If the shapes differ or the schedule has no level t.

    Notes
    -----
    Ho et al. 2020 (arXiv 2006.11239), eq. 15.
    """
    _require_same_shape(x0, eps)
    shrink = math.sqrt(1.0 - schedule.sigma(t) ** 2)
    start = x0 * (1.0 / shrink) - eps * schedule.noise_to_signal(t)
    return np.clip(start, -1.0, 1.0) if clip else start


def back_in_time(x0: Image, eps: Image, schedule: NoiseSchedule, t: int = 0, *, clip: bool = True) -> Image:
    """Take one reverse step from level t, adding no noise: the published x_-1.

    Parameters
    ----------
    x0
        Image in model units, of any shape.
    eps
        Noise predicted for x0 at level t, same shape.
    schedule, t
        Noise schedule and level; the published detector uses the sigmoid schedule of 1000 levels and t = 0.
    clip
        Clamp the predicted start to ``[-1, 1]`` first, as the published code does.

    Returns
    -------
    numpy.ndarray
        Posterior mean of the level before (Ho et al. 2020, eq. 7), shape and type of x0. At t = 0 that is the
        predicted start itself.

    Raises
    ------
    ValueError
        If the shapes differ or the schedule has no level t.
    """
    start = predicted_start(x0, eps, schedule, t, clip=clip)
    of_start = float(schedule.posterior_mean_coef_start[t])
    of_image = float(schedule.posterior_mean_coef_image[t])
    return of_start * start + of_image * x0


def removed(x0: Image, eps: Image, schedule: NoiseSchedule, t: int = 0) -> Image:
    """Compute what the step takes away, x_0 - x_-1, without clamping.

    Parameters
    ----------
    x0
        Image in model units, of any shape.
    eps
        Noise predicted for x0 at level t, same shape.
    schedule, t
        Noise schedule and level.

    Returns
    -------
    numpy.ndarray
        Shape and type of x0. It agrees with ``x0 - back_in_time(..., clip=True)`` wherever the predicted
        start lies in ``[-1, 1]``; beyond, at the ends of the intensity window, clamping alters the result.

    Raises
    ------
    ValueError
        If the shapes differ or the schedule has no level t.

    Notes
    -----
    At level 0 of the sigmoid schedule this is ``0.01733 * eps - 0.00015 * x0``.
    """
    _require_same_shape(x0, eps)
    of_eps, of_image = removal_coefficients(schedule, t)
    return of_eps * eps + of_image * x0


def removal_coefficients(schedule: NoiseSchedule, t: int = 0) -> tuple[float, float]:
    """Weights (a, b) with x_0 - x_-1 = a * eps + b * x_0, for a step that is not clamped.

    Putting the predicted start x / sqrt(abar) - r eps, with r = sqrt((1 - abar) / abar), into the posterior
    mean c_start * start + c_image * x gives a = c_start * r and b = 1 - c_image - c_start / sqrt(abar). At
    t = 0, c_start is 1 and c_image is 0.
    """
    shrink = math.sqrt(1.0 - schedule.sigma(t) ** 2)
    of_start = float(schedule.posterior_mean_coef_start[t])
    of_image = float(schedule.posterior_mean_coef_image[t])
    return of_start * schedule.noise_to_signal(t), 1.0 - of_image - of_start / shrink


def _require_same_shape(x0: Image, eps: Image) -> None:
    # Broadcasting would turn a forgotten channel axis into a silently wrong score.
    if x0.shape != eps.shape:
        raise ValueError(f"Image {x0.shape} and predicted noise {eps.shape} have to be of one shape.")
