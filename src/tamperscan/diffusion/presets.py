"""Training settings as data: the published ones, and ours.

The published settings are those of the official repository of Back-in-Time Diffusion (its README,
``CT_trainer.py`` and ``MRI_trainer.py``), which trains with denoising_diffusion_pytorch 1.8.3.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Literal

from tamperscan.diffusion.schedule import DEFAULT_TIMESTEPS, SCHEDULES, LowNoise
from tamperscan.errors import TrainingError

CT_WINDOW_PUBLISHED = (-700.0, 2000.0)
CT_WINDOW_LOCAL = (-1050.0, 450.0)  # keeps the noise of the lungs, which lie below -700 HU

# Settings that runs and weights don't name that were made before there was a choice.
_NOT_IN_OLDER_RUNS = ("widths", "neighbours")


@dataclass(frozen=True)
class TrainingPreset:
    """Everything that decides a training run, apart from the scans.

    Attributes
    ----------
    name
        What it is called on the command line.
    network
        ``"published"`` (9.2 M parameters, attention) or ``"local"`` (small, sees only a neighbourhood).
    modality
        ``"CT"`` or ``"MR"``.
    crop_px
        Side of the square patches, in pixels.
    window
        (low, high) intensities, clamped and mapped to ``[-1, 1]``; None for MR, where each image is scaled to
        ``[0, 1]`` by itself before it is mapped.
    flip
        Mirror half of the patches left to right.
    batch, accumulate
        Patches a pass, and passes an optimiser step.
    learning_rate, adam_betas
        Of Adam.
    learning_rate_decay
        ``"none"`` for a constant rate, ``"cosine"`` for a short warm-up and a fall to a hundredth along half
        a cosine.
    steps
        Optimiser steps.
    ema_decay, ema_every
        Moving average of the weights: how much it keeps at each update, and optimiser steps between updates.
    ema_start, ema_power
        Warm-up of the average, see ``diffusion.ema``; power None for a constant decay from the first step.
    gradient_clip
        Largest norm of the gradient.
    objective
        What the network predicts: the noise.
    schedule, timesteps
        Noise schedule, t drawn evenly from its levels; None where ``levels`` is set.
    levels
        Continuous noise levels in HU, for MR in parts of the scan's range; None where ``schedule`` is set.
    widths
        Channels of the local network at half, quarter, eighth, ... of the image's resolution.
    neighbours
        Slices on either side that the network sees as further channels; it predicts the noise of the middle one.
    """

    name: str
    network: Literal["published", "local"]
    modality: Literal["CT", "MR"]
    crop_px: int
    window: tuple[float, float] | None
    batch: int
    learning_rate: float
    steps: int
    schedule: str | None
    levels: LowNoise | None = None
    timesteps: int = DEFAULT_TIMESTEPS
    accumulate: int = 1
    flip: bool = False
    adam_betas: tuple[float, float] = (0.9, 0.99)
    learning_rate_decay: Literal["none", "cosine"] = "none"
    ema_decay: float = 0.995
    ema_every: int = 10
    ema_start: int = 100
    ema_power: float | None = 2 / 3
    gradient_clip: float = 1.0
    objective: Literal["noise"] = "noise"
    widths: tuple[int, ...] = (32, 64, 96)
    neighbours: int = 0

    def __post_init__(self) -> None:
        if (self.schedule is None) == (self.levels is None):
            raise ValueError(f"Preset '{self.name}' needs either a schedule or noise levels, and not both.")
        if self.schedule is not None and self.schedule not in SCHEDULES:
            raise ValueError(f"Preset '{self.name}' names an unknown noise schedule '{self.schedule}'.")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise ValueError(f"The window of preset '{self.name}' has to rise, not {self.window}.")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values; what older runs don't name is there only where it isn't the default."""
        defaults = {field.name: field.default for field in fields(self) if field.name in _NOT_IN_OLDER_RUNS}
        return {name: value for name, value in asdict(self).items() if name not in defaults or value != defaults[name]}

    @property
    def half_width(self) -> float:
        """What one model unit is worth: half the window, in HU (0.5 for images scaled to [0, 1])."""
        low, high = self.window or (0.0, 1.0)
        return (high - low) / 2


PAPER_CT = TrainingPreset(
    name="paper-ct",
    network="published",
    modality="CT",
    crop_px=96,
    window=CT_WINDOW_PUBLISHED,
    batch=64,
    accumulate=2,
    learning_rate=8e-6,
    steps=700_000,
    schedule="sigmoid",
)

# The official trainer reads 8-bit images, brings the shorter side to 128 px and cuts out the middle.
PAPER_MR = TrainingPreset(
    name="paper-mr",
    network="published",
    modality="MR",
    crop_px=128,
    window=None,
    flip=True,
    batch=64,
    accumulate=2,
    learning_rate=8e-6,
    steps=700_000,
    schedule="sigmoid",
)

LOW_NOISE_CT = TrainingPreset(
    name="low-noise-ct",
    network="local",
    modality="CT",
    crop_px=96,
    window=CT_WINDOW_LOCAL,
    flip=True,
    batch=32,
    learning_rate=1e-3,
    learning_rate_decay="cosine",
    steps=9_000,
    schedule=None,
    levels=LowNoise(sigma_min=3.0, sigma_max=120.0),
    ema_decay=0.999,
    ema_every=1,
    ema_power=None,
)

# Levels are parts of the scan's range: an MR has no units. Its own noise lies at 0.005 to 0.04 of that range.
LOW_NOISE_MR = TrainingPreset(
    name="low-noise-mr",
    network="local",
    modality="MR",
    crop_px=96,
    window=None,
    flip=True,
    batch=32,
    learning_rate=1e-3,
    learning_rate_decay="cosine",
    steps=3_000,
    schedule=None,
    levels=LowNoise(sigma_min=0.003, sigma_max=0.1),
    ema_decay=0.998,
    ema_every=1,
    ema_power=None,
)

PRESETS: MappingProxyType[str, TrainingPreset] = MappingProxyType(
    {
        "paper-ct": PAPER_CT,
        "paper-mr": PAPER_MR,
        "paper-mri": PAPER_MR,
        "low-noise-ct": LOW_NOISE_CT,
        "low-noise-mr": LOW_NOISE_MR,
    }
)


def preset(name: str) -> TrainingPreset:
    """Look up training settings by name.

    Raises
    ------
    TrainingError
        If there are none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        known = ", ".join(PRESETS)
        raise TrainingError(f"There is no training preset '{name}'. Choose one of {known}.") from None
