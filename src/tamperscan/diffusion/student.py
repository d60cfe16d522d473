"""A student: one network that gives in one pass what its teacher gives in one pass a noise level.

A screening shows the same slice to the noise predictor once for each level. The student is the teacher's network with
one output a level and no level to be told; it starts from the teacher's weights and learns the teacher's answers on
slices as they are, without added noise, for that is all that a screening shows it.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.diffusion.state import STATE_FILE, read_state, restore_state, save_state
from tamperscan.diffusion.train import Crops
from tamperscan.diffusion.unet import LocalUNet
from tamperscan.errors import TrainingError

_SECONDS_BETWEEN_SAVES = 45.0
_WARMUP_STEPS = 50
_GRADIENT_CLIP = 1.0


class StudentUNet(nn.Module):
    """Predict the noise in an image at several levels at once.

    Parameters
    ----------
    teacher
        Gives the architecture and the first weights.
    sigmas
        The levels in model units.
    """

    def __init__(self, teacher: LocalUNet, sigmas: tuple[float, ...]) -> None:
        super().__init__()
        self.sigmas = sigmas
        self.stride = teacher.stride
        self.trunk = LocalUNet(replace(teacher.settings, outputs=len(sigmas)))
        weights = teacher.state_dict()
        for name in ("head.weight", "head.bias"):
            weights[name] = torch.cat([weights[name]] * len(sigmas))
        self.trunk.load_state_dict(weights)
        # The trunk is told one level for good, in the middle of those that it gives.
        self._middle = math.exp(float(np.mean(np.log(sigmas))))

    def forward(self, image: Tensor) -> Tensor:
        """Predict the standardised noise, ``[n, level, row, column]``, of ``[n, 1, row, column]`` in model units."""
        told = torch.full((image.shape[0],), self._middle, device=image.device)
        noise: Tensor = self.trunk(image, told)
        return noise


@dataclass(frozen=True)
class StudentSettings:
    """How a student learns.

    Attributes
    ----------
    sigmas
        Levels in model units.
    batch
        Crops a step.
    learning_rate
        Highest, of Adam; it falls along half a cosine.
    ema_decay
        Of the moving average of the weights.
    """

    sigmas: tuple[float, ...]
    batch: int = 8
    learning_rate: float = 5e-4
    ema_decay: float = 0.99


def train_student(
    teacher: LocalUNet,
    settings: StudentSettings,
    crops: Crops,
    folder: Path,
    steps: int,
    *,
    seed: int = 0,
    report: Callable[[int, float], None] = lambda step, loss: None,
) -> StudentUNet:
    """Train a student on clean crops; go on from the folder's state if there is one.

    The loss is the squared difference from the teacher's noise, each level by the mean square of its own, so that
    the quiet levels count as much as the loud ones.

    Parameters
    ----------
    teacher
        Is asked at every level.
    settings
        How to learn.
    crops
        Authentic crops, without added noise.
    folder
        Holds the state.
    steps
        Optimiser steps in all.
    seed
        Of the crops.
    report
        Called after each step with the step and its loss.

    Raises
    ------
    TrainingError
        If the folder's state is of other settings.
    """
    course = _Course(teacher.eval().requires_grad_(False), settings, folder)
    course.load()
    saved = time.monotonic()
    while course.step < steps:
        rng = np.random.default_rng((seed, course.step))
        loss = course.learn(torch.from_numpy(crops.draw(rng, settings.batch)), steps)
        report(course.step, loss)
        if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
            course.save()
            saved = time.monotonic()
    course.save()
    averaged = course.ema.model
    assert isinstance(averaged, StudentUNet)
    return averaged


def teach(teacher: LocalUNet, image: Tensor, sigmas: tuple[float, ...]) -> Tensor:
    """Return the teacher's noise at every level, ``[n, level, row, column]``: one pass a level."""
    with torch.inference_mode():
        passes = [teacher(image, torch.full((image.shape[0],), sigma)) for sigma in sigmas]
    return torch.cat(passes, dim=1).float().clone()


class _Course:
    """A student in training."""

    def __init__(self, teacher: LocalUNet, settings: StudentSettings, folder: Path) -> None:
        self.teacher, self.settings, self.folder = teacher, settings, folder
        self.student = StudentUNet(teacher, settings.sigmas).requires_grad_(True).train()
        self.ema = Ema(self.student, decay=settings.ema_decay, every=1, start=0)
        self.optimiser = torch.optim.Adam(self.student.parameters(), lr=settings.learning_rate)
        self.step = 0

    def learn(self, image: Tensor, steps: int) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * _part_of_rate(self.step, steps)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast_at_bf16()):
            wanted = teach(self.teacher, image, self.settings.sigmas)
            given = self.student(image).float()
        loss = ((given - wanted).square().mean(dim=(0, 2, 3)) / wanted.square().mean(dim=(0, 2, 3))).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), _GRADIENT_CLIP)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.ema.update(self.student)
        self.step += 1
        return float(loss.detach())

    def save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = {"settings": json.dumps(asdict(self.settings)), "step": str(self.step)}
        save_state(self.folder / STATE_FILE, self._parts(), facts)

    def load(self) -> None:
        path = self.folder / STATE_FILE
        if not path.exists():
            return
        facts, tensors = read_state(path)
        if json.loads(facts["settings"]) != json.loads(json.dumps(asdict(self.settings))):
            raise TrainingError(f"{path}: is of a student with other settings. Choose another folder.")
        self.step = self.ema.calls = int(facts["step"])
        restore_state(self._parts(), tensors, self.step)

    def _parts(self) -> tuple[nn.Module, nn.Module, torch.optim.Adam]:
        return self.student, self.ema.model, self.optimiser


def _part_of_rate(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / _WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
