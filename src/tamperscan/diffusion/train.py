"""Train a noise predictor: from crops to weights, on the CPU, one GPU or several.

The loop knows arrays in model units only; where they come from is the business of the `Crops` it is given.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import Tensor, nn

from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.presets import TrainingPreset
from tamperscan.diffusion.published import PublishedUNet
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.diffusion.state import STATE_FILE, Parts, read_state, restore_state, save_state
from tamperscan.diffusion.unet import LocalUNet, LocalUNetSettings
from tamperscan.errors import TrainingError

LOSS_FILE = "loss.csv"
_SECONDS_BETWEEN_SAVES = 45.0
_WARMUP_STEPS = 200
_FINAL_RATE = 0.01
# A few bad steps are skipped; a run of them means that the training itself has broken down.
_BAD_STEPS_ALLOWED = 20


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
    """A finished or interrupted run: its network (averaged weights) and how it went."""

    network: nn.Module
    step: int
    loss: float
    seconds: float


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
    return _Trainer(settings, crops, folder, seed, steps or settings.steps, accelerator).run(report)


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
    ) -> None:
        self.settings, self.crops, self.folder, self.seed, self.steps = settings, crops, folder, seed, steps
        self.accelerator = accelerator
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
        while self.step < self.steps:
            self._learn()
            if self.accelerator.is_main_process:
                report(self._progress(time.monotonic() - begun, self.step - first))
            if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                self._save(time.monotonic() - begun)
                saved = time.monotonic()
        seconds = time.monotonic() - begun
        self._save(seconds)
        averaged = self.ema.model.to("cpu")
        return TrainingRun(averaged, self.step, self.loss, self.trained_seconds + seconds)

    def _learn(self) -> None:
        """Take one optimiser step; skip it if the loss or the gradient is not finite."""
        for group in self.optimiser.param_groups:
            group["lr"] = _learning_rate(self.settings, self.step, self.steps)
        rng = np.random.default_rng((self.seed, self.accelerator.process_index, self.step))
        total = 0.0
        for _ in range(self.settings.accumulate):
            with self.accelerator.autocast():
                loss = self._loss(rng) / self.settings.accumulate
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

    def _loss(self, rng: np.random.Generator) -> Tensor:
        device = self.accelerator.device
        start = torch.from_numpy(self.crops.draw(rng, self.settings.batch)).to(device)
        noise = torch.from_numpy(rng.standard_normal(start.shape, dtype=np.float32)).to(device)
        image, level = _add_noise(self.settings, rng, start, noise)
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
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = {
            "settings": json.dumps(self.settings.as_dict()),
            "seed": str(self.seed),
            "step": str(self.step),
            "averaged": str(self.ema.calls),
            "loss": repr(self.loss),
            "seconds": repr(self.trained_seconds + seconds),
        }
        save_state(self.folder / STATE_FILE, self._parts(), facts)
        with (self.folder / LOSS_FILE).open("a") as curve:
            curve.write(f"{self.step},{self.loss:.6f},{self.trained_seconds + seconds:.1f}\n")

    def _load(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        facts, tensors = read_state(path)
        if json.loads(facts["settings"]) != json.loads(json.dumps(self.settings.as_dict())):
            raise TrainingError(f"{path}: is of a run with other settings. Choose another --out folder.")
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


def _add_noise(
    settings: TrainingPreset, rng: np.random.Generator, start: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the noisy image and the level that the network is told.

    With a schedule, x_t = sqrt(abar_t) x + sqrt(1 - abar_t) noise and the level is t (Ho et al. 2020, eq. 4). With
    continuous levels the image keeps its size, x + sigma noise, and the level is sigma in model units.
    """
    count = start.shape[0]
    if settings.levels is not None:
        sigma = settings.levels.sample(rng, count) / settings.half_width
        level = torch.as_tensor(sigma, dtype=torch.float32, device=start.device)
        return start + level[:, None, None, None] * noise, level
    assert settings.schedule is not None  # one of the two is set, by the preset's own check
    abar = noise_schedule(settings.schedule, settings.timesteps).alphas_cumprod
    t = rng.integers(settings.timesteps, size=count)
    keep = torch.as_tensor(abar[t], dtype=torch.float32, device=start.device)[:, None, None, None]
    return keep.sqrt() * start + (1 - keep).sqrt() * noise, torch.as_tensor(t, device=start.device)
