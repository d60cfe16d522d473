"""The training loop of the in-painting diffusion model, with what it takes to go on after a kill."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.schedule import noise_schedule
from tamperscan.errors import TrainingError
from tamperscan.files import add_line, make_folder, write_file
from tamperscan.forge.diffusion_crops import Triples, TripleSource
from tamperscan.forge.diffusion_network import TripleUNet, TripleUNetSettings
from tamperscan.scan.windows import LUNG_NOISE_CT

STATE_FILE: Final = "state.safetensors"
LOSS_FILE: Final = "loss.csv"
_SECONDS_BETWEEN_SAVES = 45.0
_WARMUP_STEPS = 200
_FINAL_RATE = 0.01
_EMA_DECAY = 0.999
_GRADIENT_CLIP = 1.0
# A few bad steps are left out; a run of them means that the training has broken down.
_BAD_STEPS_ALLOWED = 20
_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class DiffusionSettings:
    """Everything that decides a training run, apart from the scans, the number of steps and the seed.

    Attributes
    ----------
    network
        Widths and depth.
    crop_px
        Side of a crop.
    batch
        Crops a step.
    learning_rate
        Of Adam, at its highest: it rises for 200 steps and falls to a hundredth along half a cosine.
    steps
        Optimiser steps, where none are given.
    window
        (low, high) HU that map to -1 and 1.
    schedule, timesteps
        Noise schedule, as `tamperscan.diffusion.schedule.noise_schedule` knows it.
    """

    network: TripleUNetSettings = field(default_factory=TripleUNetSettings)
    crop_px: int = 64
    batch: int = 32
    learning_rate: float = 1e-3
    steps: int = 8_000
    window: tuple[float, float] = (LUNG_NOISE_CT.low, LUNG_NOISE_CT.high)
    schedule: str = "cosine"
    timesteps: int = 1000


class DiffusionRun:
    """The state of a run, and what is done to it.

    Parameters
    ----------
    settings
        Network and run.
    crops
        Where authentic crops come from.
    folder
        Holds the state (written about every 45 seconds, whole or not at all) and the loss curve.
    seed
        Of weights, crops and noise.
    steps
        Optimiser steps in all.
    """

    def __init__(
        self, settings: DiffusionSettings, crops: TripleSource, folder: Path, *, seed: int, steps: int
    ) -> None:
        self.settings, self.crops, self.folder, self.seed, self.steps = settings, crops, folder, seed, steps
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(seed)
        # Channels last, and bfloat16 where the hardware has it: on a CPU with AMX together four times as fast.
        layout = torch.channels_last
        self.network = TripleUNet(settings.network).to(self.device, memory_format=layout)  # type: ignore[call-overload]
        self.ema = Ema(self.network, decay=_EMA_DECAY, every=1, power=None)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate, betas=(0.9, 0.99))
        abar = noise_schedule(settings.schedule, settings.timesteps).alphas_cumprod
        self.sigma = torch.tensor(np.sqrt(1.0 - abar), dtype=torch.float32)
        self.step, self.loss, self.bad_steps, self.seconds = 0, math.nan, 0, 0.0

    def go(self, report: Callable[[int, int], None]) -> None:
        """Train until the steps are done; go on from the folder's state if there is one.

        Raises
        ------
        TrainingError
            If the state is of another run or can't be read, or the loss stays not finite.
        """
        self._load()
        self.network.train()
        begun = saved = time.monotonic()
        before = self.seconds
        while self.step < self.steps:
            self._learn()
            self.seconds = before + time.monotonic() - begun
            report(self.step, self.steps)
            if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES or self.step == self.steps:
                self._save()
                saved = time.monotonic()

    def _learn(self) -> None:
        """Take one optimiser step; leave it out if the loss or the gradient is not finite."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _rate(self.step, self.steps)
        loss = self._loss(np.random.default_rng((self.seed, self.step)))
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_CLIP)
        if bool(torch.isfinite(loss)) and bool(torch.isfinite(norm)):
            self.optimiser.step()
            self.ema.update(self.network)
            self.bad_steps = 0
            value = float(loss.detach())
            self.loss = value if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * value
        else:
            self._count_bad_step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1

    def _loss(self, rng: np.random.Generator) -> Tensor:
        """Mean square error of the velocity of the middle slices."""
        triples = self.crops.draw(rng, self.settings.batch)
        noise = _noise(triples, rng).to(self.device)
        start = torch.from_numpy(triples.slices).to(self.device)
        # Squared, so that a fifth of the draws falls on the low levels that decide the texture.
        levels = (self.settings.timesteps * rng.random(len(start)) ** 2).astype(np.int64)
        sigma = self.sigma[torch.from_numpy(levels)].to(self.device)
        wide = sigma[:, None, None, None]
        alpha = (1 - wide.square()).sqrt()
        noisy = (alpha * start + wide * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=fast_at_bf16()):
            predicted = self.network(noisy, sigma, torch.from_numpy(triples.spacing_mm).to(self.device))
        velocity = (alpha * noise - wide * start)[:, 1]
        error: Tensor = (predicted.float() - velocity).square().mean()
        return error

    def _count_bad_step(self) -> None:
        self.bad_steps += 1
        if self.bad_steps > _BAD_STEPS_ALLOWED:
            raise TrainingError(
                f"{self.folder}: the loss was not finite for {self.bad_steps} steps running. The last good state is"
                " kept. Look for scans with impossible values."
            )

    def _facts(self) -> dict[str, str]:
        """Describe what a state must have in common with the run that goes on from it."""
        return {"settings": json.dumps(asdict(self.settings)), "seed": str(self.seed)}

    def _save(self) -> None:
        """Write beside the old state and swap, so that a kill leaves one of the two."""
        facts = {"step": str(self.step), "loss": repr(self.loss), "seconds": repr(self.seconds)}
        tensors = {name: value.detach().cpu().contiguous() for name, value in self._tensors().items()}
        make_folder(self.folder)
        write_file(self.folder / STATE_FILE, save(tensors, metadata=self._facts() | facts))
        add_line(self.folder / LOSS_FILE, f"{self.step},{self.loss:.6f},{self.seconds:.1f}")

    def _load(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        try:
            with safe_open(path, framework="pt") as stored:
                facts = stored.metadata()
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise TrainingError(f"{path}: can't be read ({error}). Move it away to start anew.") from error
        if any(facts.get(name) != value for name, value in self._facts().items()):
            raise TrainingError(f"{path}: is of a run with other settings. Choose another --out folder.")
        self.step, self.loss, self.seconds = int(facts["step"]), float(facts["loss"]), float(facts["seconds"])
        for parameter in self.network.parameters():
            self.optimiser.state[parameter] = {"step": torch.tensor(float(self.step))} | {
                moment: torch.empty_like(parameter) for moment in _MOMENTS
            }
        for name, target in self._tensors().items():
            with torch.no_grad():
                target.copy_(tensors[name])

    def _tensors(self) -> dict[str, Tensor]:
        """Name every tensor that changes in training."""
        named = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.ema.model.state_dict().items()}
        for name, parameter in self.network.named_parameters():
            state = self.optimiser.state[parameter]
            named |= {f"adam.{moment}.{name}": state[moment] for moment in _MOMENTS}
        return named


def _noise(triples: Triples, rng: np.random.Generator) -> Tensor:
    """Draw noise, the same for a slice and for what it stands in for."""
    noise = rng.standard_normal(triples.slices.shape, dtype=np.float32)
    return torch.from_numpy(np.take_along_axis(noise, triples.which[:, :, None, None], axis=1))


def _rate(step: int, steps: int) -> float:
    """Give the learning rate as a share of its highest: a short rise, then a fall along half a cosine."""
    fall = _FINAL_RATE + (1 - _FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return min(1.0, (step + 1) / _WARMUP_STEPS) * fall
