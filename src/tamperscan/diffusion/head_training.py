"""Train one member of the self-forged head: from forged crops to a network."""

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
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.head import ForgeryHead, HeadSettings
from tamperscan.diffusion.loading import loaders_for, steps_ahead
from tamperscan.diffusion.state import STATE_FILE, average_of, read_state, refuse_another_run, restore_state, save_state
from tamperscan.diffusion.train import LOSS_FILE, Progress
from tamperscan.errors import TrainingError
from tamperscan.files import add_line, make_folder

_SECONDS_BETWEEN_SAVES = 45.0
_WARMUP_STEPS = 100
_FINAL_RATE = 0.02
_GRADIENT_CLIP = 1.0
# A pixel between these was altered by a part only, and is neither an example nor a counter-example.
_AUTHENTIC_BELOW, _ALTERED_ABOVE = 0.05, 0.5


@dataclass(frozen=True)
class HeadRun:
    """A finished run: the head (averaged weights) and how it went."""

    head: ForgeryHead
    steps: int
    loss: float
    seconds: float


class ForgedCrops(Protocol):
    """Something that forged crops can be drawn from."""

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return crops in model units and how far each pixel was altered, both ``[count, 1, row, column]``."""
        ...


def train_head(
    settings: HeadSettings,
    crops: ForgedCrops,
    predictor: nn.Module,
    sigmas: tuple[float, ...],
    folder: Path,
    *,
    seed: int = 0,
    loaders: int | None = None,
    report: Callable[[Progress], None] = lambda progress: None,
) -> ForgeryHead:
    """Train until the steps are done; go on from the folder's state if there is one.

    Every step draws from a generator seeded by (seed, step): a run that was killed and resumed sees the data that an
    unbroken run would have seen.

    Parameters
    ----------
    settings
        Of the head and its training.
    crops
        Where forged crops come from.
    predictor
        The trained noise predictor, a torch network of (image, sigma).
    sigmas
        The levels of the settings in model units.
    folder
        Holds the state and the loss curve.
    seed
        Seed of weights and crops.
    loaders
        Processes that forge crops ahead; None for as many as there are cores beside a GPU, and none beside a CPU.
    report
        Called after each step.

    Raises
    ------
    TrainingError
        If the folder's state belongs to other settings, or the loss is not finite.
    """
    torch.manual_seed(seed)
    return _HeadTrainer(settings, crops, predictor, sigmas, folder, seed).run(report, loaders)


def read_head(folder: Path, settings: HeadSettings) -> HeadRun:
    """Read a finished run.

    Raises
    ------
    TrainingError
        If there is none, or it has not come to its end.
    """
    path = folder / STATE_FILE
    if not path.exists():
        raise TrainingError(f"{folder}: holds no trained member. Train it first.")
    facts, tensors = read_state(path)
    if int(facts["step"]) < settings.steps:
        raise TrainingError(f"{folder}: is at step {facts['step']} of {settings.steps}. Let the same command go on.")
    head = ForgeryHead(settings)
    head.load_state_dict(average_of(tensors))
    return HeadRun(head, int(facts["step"]), float(facts["loss"]), float(facts["seconds"]))


@dataclass(frozen=True)
class ForgedDraw:
    """Draws what one step needs: so many forged crops, and where they were altered."""

    crops: ForgedCrops
    batch: int

    def __call__(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return crops and how far each pixel was altered."""
        return self.crops.draw(rng, self.batch)


class _HeadTrainer:
    """The state of a run, and the few things that are done to it."""

    def __init__(
        self,
        settings: HeadSettings,
        crops: ForgedCrops,
        predictor: nn.Module,
        sigmas: tuple[float, ...],
        folder: Path,
        seed: int,
    ) -> None:
        self.settings, self.crops, self.sigmas, self.folder, self.seed = settings, crops, sigmas, folder, seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.predictor = self._placed(predictor.eval().requires_grad_(False))
        self.network = self._placed(ForgeryHead(settings))
        self.ema = Ema(self.network, decay=settings.ema_decay, every=1, start=0, power=None)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.low_precision = fast_at_bf16()
        self.step, self.loss, self.seconds = 0, math.nan, 0.0

    def run(self, report: Callable[[Progress], None], loaders: int | None = None) -> ForgeryHead:
        self._load()
        steps = steps_ahead(
            ForgedDraw(self.crops, self.settings.batch),
            (self.seed,),
            self.step,
            self.settings.steps,
            loaders=loaders_for(self.device.type) if loaders is None else loaders,
            pinned=self.device.type == "cuda",
        )
        begun = saved = time.monotonic()
        first, before = self.step, self.seconds
        for image, altered in steps:
            self._learn(image.to(self.device, non_blocking=True), altered.to(self.device, non_blocking=True))
            self.seconds = before + time.monotonic() - begun
            pace = (time.monotonic() - begun) / (self.step - first)
            left = pace * (self.settings.steps - self.step)
            report(Progress(self.step, self.settings.steps, self.loss, left, self.settings.batch / pace))
            if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                self._save()
                saved = time.monotonic()
        self._save()
        head = self.ema.model.to("cpu")
        assert isinstance(head, ForgeryHead)  # the average is a copy of the network
        return head

    def _placed(self, network: nn.Module) -> nn.Module:
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def _learn(self, image: Tensor, altered: Tensor) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self._learning_rate()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.low_precision):
            logits = self.network(image, self._noise(image)).float()
        loss = self._loss(logits, altered)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(f"{self.folder}: the loss is not finite at step {self.step}; the last state is kept.")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), _GRADIENT_CLIP)
        self.optimiser.step()
        self.ema.update(self.network)
        self.loss = value if math.isnan(self.loss) else 0.99 * self.loss + 0.01 * value
        self.step += 1

    def _noise(self, image: Tensor) -> Tensor:
        """Predict the noise of the crops at every level, ``[n, level, row, column]``."""
        with torch.no_grad():
            levels = [torch.full((len(image),), sigma, device=self.device) for sigma in self.sigmas]
            return torch.cat([self.predictor(image, level) for level in levels], dim=1)

    def _loss(self, logits: Tensor, altered: Tensor) -> Tensor:
        """Binary cross-entropy over the pixels that are clearly the one or the other."""
        positive = (altered > _ALTERED_ABOVE).float()
        counted = ((altered < _AUTHENTIC_BELOW) | (altered > _ALTERED_ABOVE)).float()
        weight = counted * (1 + (self.settings.positive_weight - 1) * positive)
        losses = functional.binary_cross_entropy_with_logits(logits, positive, reduction="none")
        return (losses * weight).sum() / counted.sum()

    def _learning_rate(self) -> float:
        """Rise for a few steps, then fall along half a cosine."""
        warm = min(1.0, (self.step + 1) / _WARMUP_STEPS)
        fall = 0.5 * (1 + math.cos(math.pi * self.step / self.settings.steps))
        return self.settings.learning_rate * warm * (_FINAL_RATE + (1 - _FINAL_RATE) * fall)

    def _facts(self) -> dict[str, str]:
        return {"settings": json.dumps(self.settings.as_dict()), "seed": str(self.seed), "sigmas": repr(self.sigmas)}

    def _save(self) -> None:
        make_folder(self.folder)
        facts = self._facts() | {"step": str(self.step), "loss": repr(self.loss), "seconds": repr(self.seconds)}
        save_state(self.folder / STATE_FILE, (self.network, self.ema.model, self.optimiser), facts)
        add_line(self.folder / LOSS_FILE, f"{self.step},{self.loss:.6f},{self.seconds:.1f}")

    def _load(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        facts, tensors = read_state(path)
        refuse_another_run(path, facts, self._facts())
        self.step, self.loss, self.seconds = int(facts["step"]), float(facts["loss"]), float(facts["seconds"])
        restore_state((self.network, self.ema.model, self.optimiser), tensors, self.step)
