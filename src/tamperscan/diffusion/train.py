"""Train a noise predictor: from crops to weights, on the CPU, one GPU or several.

The loop knows arrays in model units only; where they come from is the business of the `Crops` it is given.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.loading import loaders_for, steps_ahead
from tamperscan.diffusion.presets import TrainingPreset
from tamperscan.diffusion.published import PublishedUNet
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.diffusion.state import STATE_FILE, Parts, read_state, refuse_another_run, restore_state, save_state
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.errors import TrainingError
from tamperscan.files import add_line, make_folder

LOSS_FILE = "loss.csv"
_SECONDS_BETWEEN_SAVES = 45.0
_WARMUP_STEPS = 200
_FINAL_RATE = 0.01
# A few bad steps are skipped; a run of them means that the training itself has broken down.
_BAD_STEPS_ALLOWED = 20


# Crops, noise, levels: for each pass of a step.
_PARTS_OF_A_DRAW = 3


class Crops(Protocol):
    """Something that authentic crops can be drawn from."""

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float32]:
        """Return float32 ``[count, channels, row, column]`` in model units."""
        ...


@dataclass(frozen=True)
class Progress:
    """Where a training run stands.

    Attributes
    ----------
    step, steps
        Optimiser steps done and wanted.
    loss
        Mean squared error of the predicted noise, smoothed over about 100 steps.
    seconds_left
        Estimate from this run's own pace.
    crops_per_second
        Over all processes.
    """

    step: int
    steps: int
    loss: float
    seconds_left: float
    crops_per_second: float


@dataclass(frozen=True)
class TrainingRun:
    """A finished or interrupted run: its network (averaged weights), how it went, and on how many processes."""

    network: nn.Module
    step: int
    loss: float
    seconds: float
    processes: int


def build_network(settings: TrainingPreset) -> nn.Module:
    """Make the network that a preset asks for, with fresh weights."""
    if settings.network == "published":
        return PublishedUNet()
    return LocalUNet(LocalUNetSettings(settings.widths, channels=1 + 2 * settings.neighbours))


def train(
    settings: TrainingPreset,
    crops: Crops,
    folder: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    bf16: bool | None = None,
    loaders: int | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> TrainingRun:
    """Train until the steps are done; go on from the folder's state if there is one.

    Every step draws its crops, levels and noise from a generator seeded by (seed, process, step), so a run that was
    killed and resumed sees the data that an unbroken run would have seen.

    Parameters
    ----------
    settings
        What to train and how.
    crops
        Where authentic crops come from.
    folder
        Holds the state (written at least every minute, whole or not at all) and the loss curve.
    seed
        Seed of weights, crops and noise.
    steps
        Optimiser steps in all; the preset's number if None.
    bf16
        Run convolutions in bfloat16; None for our own network where the hardware is fast at it. The published training
        uses float32.
    loaders
        Processes that draw crops ahead; None for as many as there are cores beside a GPU, and none beside a CPU.
    report
        Called after each step by the main process.

    Raises
    ------
    TrainingError
        If the loss stays not finite, or the folder's state belongs to other settings.
    """
    low_precision = settings.network == "local" and fast_at_bf16() if bf16 is None else bf16
    accelerator = Accelerator(mixed_precision="bf16" if low_precision else "no")
    torch.manual_seed(seed)
    device = accelerator.device.type
    count = loaders_for(device, accelerator.num_processes) if loaders is None else loaders
    return _Trainer(settings, crops, folder, seed, steps or settings.steps, accelerator, count).run(report)


class _Trainer:
    """The state of a run, and the few things that are done to it."""

    def __init__(
        self,
        settings: TrainingPreset,
        crops: Crops,
        folder: Path,
        seed: int,
        steps: int,
        accelerator: Accelerator,
        loaders: int,
    ) -> None:
        self.settings, self.crops, self.folder, self.seed, self.steps = settings, crops, folder, seed, steps
        self.accelerator, self.loaders = accelerator, loaders
        network = build_network(settings).to(accelerator.device)
        # Before accelerate wraps it: the average must not run in bfloat16.
        self.ema = Ema.from_preset(network, settings)
        self.network = accelerator.prepare(network)
        # The optimiser holds the very tensors of the network; it is prepared by hand (its state is saved as
        # safetensors, which needs the plain torch object).
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=settings.learning_rate, betas=settings.adam_betas
        )
        self.step, self.loss, self.bad_steps = 0, math.nan, 0
        self.trained_seconds = 0.0

    def run(self, report: Callable[[Progress], None]) -> TrainingRun:
        self._load()
        self.network.train()
        begun, first, saved = time.monotonic(), self.step, time.monotonic()
        for drawn in self._draws():
            self._learn(drawn)
            if self.accelerator.is_main_process:
                report(self._progress(time.monotonic() - begun, self.step - first))
            if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                self._save(time.monotonic() - begun)
                saved = time.monotonic()
        seconds = time.monotonic() - begun
        self._save(seconds)
        averaged = self.ema.model.to("cpu")
        return TrainingRun(
            averaged, self.step, self.loss, self.trained_seconds + seconds, self.accelerator.num_processes
        )

    def _draws(self) -> Iterator[tuple[Tensor, ...]]:
        device = self.accelerator.device
        draw = StepDraw(self.settings, self.crops, with_noise=device.type == "cpu")
        return steps_ahead(
            draw,
            (self.seed, self.accelerator.process_index),
            self.step,
            self.steps,
            loaders=self.loaders,
            pinned=device.type == "cuda",
        )

    def _learn(self, drawn: Sequence[Tensor]) -> None:
        """Take one optimiser step; skip it if the loss or the gradient is not finite."""
        for group in self.optimiser.param_groups:
            group["lr"] = _learning_rate(self.settings, self.step, self.steps)
        total = 0.0
        for part in range(0, len(drawn), _PARTS_OF_A_DRAW):
            with self.accelerator.autocast():
                loss = self._loss(*drawn[part : part + _PARTS_OF_A_DRAW]) / self.settings.accumulate
            self.accelerator.backward(loss)
            total += float(loss.detach())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        if math.isfinite(total) and bool(torch.isfinite(norm)):
            self.optimiser.step()
            self.ema.update(self.accelerator.unwrap_model(self.network))
            self.bad_steps = 0
            self.loss = total if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * total
        else:
            self._count_bad_step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1

    def _loss(self, start: Tensor, noise: Tensor, drawn: Tensor) -> Tensor:
        device = self.accelerator.device
        start, drawn = start.to(device, non_blocking=True), drawn.to(device, non_blocking=True)
        noise = noise.to(device) if noise.dtype.is_floating_point else _noise_on(device, int(noise), start)
        image, level = _add_noise(self.settings, start, noise, drawn)
        predicted: Tensor = self.network(image, level)
        middle = noise.shape[1] // 2  # with neighbouring slices, the noise of the middle one is asked for
        return (predicted.float() - noise[:, middle : middle + 1]).square().mean()

    def _count_bad_step(self) -> None:
        self.bad_steps += 1
        if self.bad_steps > _BAD_STEPS_ALLOWED:
            raise TrainingError(
                f"{self.folder}: the loss was not finite for {self.bad_steps} steps running. The last good state is"
                " kept. Go on with --no-bf16, or look for scans with impossible values."
            )

    def _progress(self, seconds: float, done: int) -> Progress:
        pace = seconds / max(done, 1)
        crops = self.settings.batch * self.settings.accumulate * self.accelerator.num_processes
        return Progress(self.step, self.steps, self.loss, pace * (self.steps - self.step), crops / max(pace, 1e-9))

    def _save(self, seconds: float) -> None:
        if not self.accelerator.is_main_process or not math.isfinite(self.loss):
            return
        make_folder(self.folder)
        facts = {
            "settings": json.dumps(self.settings.as_dict()),
            "seed": str(self.seed),
            "step": str(self.step),
            "averaged": str(self.ema.calls),
            "loss": repr(self.loss),
            "seconds": repr(self.trained_seconds + seconds),
        }
        save_state(self.folder / STATE_FILE, self._parts(), facts)
        add_line(self.folder / LOSS_FILE, f"{self.step},{self.loss:.6f},{self.trained_seconds + seconds:.1f}")

    def _load(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        facts, tensors = read_state(path)
        refuse_another_run(path, facts, {"settings": json.dumps(self.settings.as_dict()), "seed": str(self.seed)})
        self.step, self.loss = int(facts["step"]), float(facts["loss"])
        self.trained_seconds = float(facts["seconds"])
        self.ema.calls = int(facts["averaged"])
        restore_state(self._parts(), tensors, self.step)

    def _parts(self) -> Parts:
        return self.accelerator.unwrap_model(self.network), self.ema.model, self.optimiser


def _learning_rate(settings: TrainingPreset, step: int, steps: int) -> float:
    if settings.learning_rate_decay == "none":
        return settings.learning_rate
    warm = min(1.0, (step + 1) / _WARMUP_STEPS)
    fall = _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return settings.learning_rate * warm * fall


@dataclass(frozen=True)
class StepDraw:
    """Draws what one step needs: crops, noise and levels, of each of its passes.

    Attributes
    ----------
    settings
        Of the run.
    crops
        Where authentic crops come from.
    with_noise
        Whether to draw the noise here. A GPU draws its own a thousand times as fast, and gets a seed instead.
    """

    settings: TrainingPreset
    crops: Crops
    with_noise: bool

    def __call__(self, rng: np.random.Generator) -> tuple[Any, ...]:
        """Return the arrays of all passes, one after the other."""
        parts: list[Any] = []
        for _ in range(self.settings.accumulate):
            start = self.crops.draw(rng, self.settings.batch)
            noise = rng.standard_normal(start.shape, dtype=np.float32) if self.with_noise else rng.integers(2**62)
            parts += [start, np.asarray(noise), self._levels(rng)]
        return tuple(parts)

    def _levels(self, rng: np.random.Generator) -> NDArray[Any]:
        """Draw a level of each crop: sigma in model units, or the step t of a schedule."""
        if self.settings.levels is None:
            return rng.integers(self.settings.timesteps, size=self.settings.batch)
        sigma = self.settings.levels.sample(rng, self.settings.batch) / self.settings.half_width
        return np.asarray(sigma, dtype=np.float32)


def _noise_on(device: torch.device, seed: int, like: Tensor) -> Tensor:
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(like.shape, generator=generator, device=device)


def _add_noise(settings: TrainingPreset, start: Tensor, noise: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor]:
    """Return the noisy image and the level that the network is told.

    With a schedule, x_t = sqrt(abar_t) x + sqrt(1 - abar_t) noise and the level is t (Ho et al. 2020, eq. 4). With
    continuous levels the image keeps its size, x + sigma noise, and the level is sigma in model units.
    """
    if settings.levels is not None:
        return start + drawn[:, None, None, None] * noise, drawn
    assert settings.schedule is not None  # one of the two is set, by the preset's own check
    abar = torch.tensor(noise_schedule(settings.schedule, settings.timesteps).alphas_cumprod)
    keep = abar.to(start.device)[drawn].float()[:, None, None, None]
    return keep.sqrt() * start + (1 - keep).sqrt() * noise, drawn
