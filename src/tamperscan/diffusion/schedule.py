"""Noise schedules: how much noise each level of a diffusion model stands for.

A schedule is a sequence of variances ``beta_t``. With ``alpha_t = 1 - beta_t`` and ``abar_t`` the product of
``alpha_0 ... alpha_t``, the image of level t is (Ho et al. 2020, arXiv 2006.11239, eq. 4)

    x_t = sqrt(abar_t) * x + sqrt(1 - abar_t) * noise

The formulas and their constants are those of denoising_diffusion_pytorch 1.8.3, which the published detector
was trained with; the first level is number 0 there and here. Images are in model units, ``[-1, 1]``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

DEFAULT_TIMESTEPS = 1000
MAX_BETA = 0.999  # Nichol & Dhariwal 2021, section 3.2: keeps the last levels from being singular

Betas = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The variances of a diffusion and what follows from them.

    Attributes
    ----------
    name
        ``"sigmoid"``, ``"linear"`` or ``"cosine"`` for the known ones, anything else for one's own.
    betas
        float64 ``[T]``: the variance that each level adds, every one in (0, 1].

    Raises
    ------
    ValueError
        If betas is not one-dimensional, is empty, or leaves (0, 1].
    """

    name: str
    betas: Betas

    def __post_init__(self) -> None:
        betas: Betas = np.array(self.betas, dtype=np.float64)
        if betas.ndim != 1 or betas.size == 0:
            raise ValueError(f"A schedule needs a list of variances, not an array of shape {betas.shape}.")
        if not (np.all(betas > 0) and np.all(betas <= 1)):
            raise ValueError(f"The variances of schedule '{self.name}' have to lie in (0, 1].")
        object.__setattr__(self, "betas", _locked(betas))

    @property
    def timesteps(self) -> int:
        """Number of levels T."""
        return int(self.betas.size)

    @cached_property
    def alphas_cumprod(self) -> Betas:
        """float64 ``[T]``: abar_t, the share of the image's variance that is left at level t."""
        return _locked(np.cumprod(1.0 - self.betas, dtype=np.float64))

    @cached_property
    def alphas_cumprod_prev(self) -> Betas:
        """float64 ``[T]``: abar of the level before; 1 before the first."""
        return _locked(np.concatenate([[1.0], self.alphas_cumprod[:-1]]))

    @cached_property
    def posterior_mean_coef_start(self) -> Betas:
        """float64 ``[T]``: weight of the predicted start in the posterior mean (Ho et al. 2020, eq. 7)."""
        return _locked(self.betas * np.sqrt(self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod))

    @cached_property
    def posterior_mean_coef_image(self) -> Betas:
        """float64 ``[T]``: weight of the image x_t in the posterior mean (Ho et al. 2020, eq. 7)."""
        before = 1.0 - self.alphas_cumprod_prev
        return _locked(before * np.sqrt(1.0 - self.betas) / (1.0 - self.alphas_cumprod))

    @cached_property
    def posterior_variance(self) -> Betas:
        """float64 ``[T]``: variance of x_{t-1} given x_t and the start (Ho et al. 2020, eq. 7)."""
        return _locked(self.betas * (1.0 - self.alphas_cumprod_prev) / (1.0 - self.alphas_cumprod))

    def sigma(self, t: int) -> float:
        """Return the standard deviation of the noise in x_t: sqrt(1 - abar_t), in model units."""
        return float(np.sqrt(1.0 - self.alphas_cumprod[self._level(t)]))

    def noise_to_signal(self, t: int) -> float:
        """Return the noise beside the image at full size: sqrt((1 - abar_t) / abar_t), in model units.

        It is ``sigma(t)`` with the shrinking of the image undone: the noise that an image which was never
        shrunk has to carry to look like one of level t.
        """
        abar = self.alphas_cumprod[self._level(t)]
        return float(np.sqrt((1.0 - abar) / abar))

    def sigma_in_units(self, t: int, half_width: float) -> float:
        """Return the noise of level t in the image's own units.

        Parameters
        ----------
        t
            Level, 0 to T - 1.
        half_width
            Half the width of the intensity window that is mapped to ``[-1, 1]``: 1350 HU for the published CT
            window of -700 to 2000 HU; level 0 is then 23.4 HU (sigmoid), 13.5 HU (linear) or 8.7 HU (cosine).
        """
        return self.noise_to_signal(t) * half_width

    def nearest_level(self, sigma: float, half_width: float) -> int:
        """Find the level whose noise is nearest to sigma by ratio; sigma in the units of half_width."""
        if not (sigma > 0 and half_width > 0):
            raise ValueError(f"Noise and window have to be above zero, not {sigma} and {half_width}.")
        ratios = np.sqrt((1.0 - self.alphas_cumprod) / self.alphas_cumprod) * half_width / sigma
        return int(np.argmin(np.abs(np.log(ratios))))

    def _level(self, t: int) -> int:
        # A negative index would silently count from the far, noisiest end.
        if not 0 <= t < self.timesteps:
            raise ValueError(f"Level {t} is not in this schedule: it has levels 0 to {self.timesteps - 1}.")
        return t


@dataclass(frozen=True)
class LowNoise:
    """Noise levels spread evenly over the logarithm of sigma.

    Training that is meant for low noise only draws from here instead of from 1000 steps, of which one in a
    thousand would fall on the level that is used.

    Attributes
    ----------
    sigma_min, sigma_max
        Bounds of the standard deviation, in HU (or in the image's own units).
    """

    sigma_min: float = 3.0
    sigma_max: float = 200.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < np.inf:
            raise ValueError(
                f"Noise bounds have to be above zero and rising, not {self.sigma_min} and {self.sigma_max}."
            )

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draw n standard deviations: float64 ``[n]``, within the bounds."""
        drawn = np.exp(rng.uniform(np.log(self.sigma_min), np.log(self.sigma_max), size=n))
        return np.clip(drawn, self.sigma_min, self.sigma_max)  # exp(log(x)) may miss x by a rounding error


def linear_betas(timesteps: int = DEFAULT_TIMESTEPS) -> Betas:
    """Variances on a straight line, 1e-4 to 0.02 for 1000 levels (Ho et al. 2020, section 4)."""
    scale = 1000 / timesteps
    return np.linspace(scale * 0.0001, scale * 0.02, timesteps, dtype=np.float64)


def cosine_betas(timesteps: int = DEFAULT_TIMESTEPS, offset: float = 0.008) -> Betas:
    """Variances for which abar is a squared cosine (Nichol & Dhariwal 2021, arXiv 2102.09672, eq. 17)."""
    progress = np.linspace(0.0, 1.0, timesteps + 1)
    return _betas_of(np.cos((progress + offset) / (1 + offset) * np.pi / 2) ** 2)


def sigmoid_betas(timesteps: int = DEFAULT_TIMESTEPS, start: float = -3.0, end: float = 3.0, tau: float = 1.0) -> Betas:
    """Variances for which abar falls like a logistic curve (Jabri et al. 2022, arXiv 2212.11972, figure 8).

    The library keeps the two end values in float32; here all is float64, which moves abar by less than 1e-7.
    """
    progress = np.linspace(0.0, 1.0, timesteps + 1)
    curve = _logistic((progress * (end - start) + start) / tau)
    return _betas_of((curve[-1] - curve) / (curve[-1] - curve[0]))


SCHEDULES: MappingProxyType[str, Callable[[int], Betas]] = MappingProxyType(
    {"sigmoid": sigmoid_betas, "linear": linear_betas, "cosine": cosine_betas}
)


def noise_schedule(name: str, timesteps: int = DEFAULT_TIMESTEPS) -> NoiseSchedule:
    """Build a known schedule.

    Parameters
    ----------
    name
        ``"sigmoid"`` (the published detector's), ``"linear"`` or ``"cosine"``.
    timesteps
        Number of levels T.

    Raises
    ------
    ValueError
        If the name is unknown, or T leaves the schedule no meaning (fewer than 20 levels for ``"linear"``).
    """
    if name not in SCHEDULES:
        raise ValueError(f"There is no noise schedule '{name}': choose one of {', '.join(SCHEDULES)}.")
    if timesteps < 1:
        raise ValueError(f"A schedule needs at least one level, not {timesteps}.")
    return NoiseSchedule(name, SCHEDULES[name](timesteps))


def schedule_of(betas: ArrayLike, tolerance: float = 1e-3) -> NoiseSchedule | None:
    """Recognise a schedule by its variances, as a checkpoint holds them in float32.

    Parameters
    ----------
    betas
        ``[T]``, any float type.
    tolerance
        Largest difference of a single variance. Float32 rounding stays under 1e-4.

    Returns
    -------
    NoiseSchedule or None
        The known schedule, or None if the variances are of another.
    """
    given = np.asarray(betas, dtype=np.float64)
    if given.ndim != 1 or given.size == 0:
        return None
    for name, make in SCHEDULES.items():
        # The first variance sets the level that is used, so it is held to a share of itself.
        known = make(given.size)
        close = np.all(np.abs(known - given) < tolerance) and abs(known[0] - given[0]) < tolerance * known[0]
        if close:
            return NoiseSchedule(name, known)
    return None


def _betas_of(alphas_cumprod: Betas) -> Betas:
    """Turn T + 1 values of abar (before level 0, after it, ...) into T variances."""
    return np.clip(1.0 - alphas_cumprod[1:] / alphas_cumprod[:-1], 0.0, MAX_BETA)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1.0 / (1.0 + np.exp(-x))


def _locked(values: Betas) -> Betas:
    """Make an array read-only, so that a frozen schedule stays what it is."""
    values.flags.writeable = False
    return values
