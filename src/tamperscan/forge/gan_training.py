"""Train the in-painting GAN: generator against discriminator, from cubes to weights, on one CPU core.

The objective is pix2pix's (Isola et al. 2017, arXiv 1611.07004, eq. 4): the adversarial loss and 100 times the mean
absolute error. As in CT-GAN, the adversarial loss is that of least squares.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from tamperscan.detect.training import find_scans, name_data, read_split
from tamperscan.diffusion.ema import Ema
from tamperscan.diffusion.hardware import fast_at_bf16
from tamperscan.errors import ScanError, TrainingError
from tamperscan.files import add_line
from tamperscan.forge.cube import SIDE, blend_weight, core
from tamperscan.forge.equalise import Equalisation, fit_equalisation
from tamperscan.forge.gan_data import CUBES, CubeCache, build_cubes, read_cubes
from tamperscan.forge.gan_network import Discriminator, GanSettings, Generator, condition_of
from tamperscan.forge.gan_state import load_state, save_state
from tamperscan.forge.method import Action
from tamperscan.forge.weights import write_weights

KIND: Final = "gan"
STEPS: Final = 3000
WEIGHTS_FOLDER: Final = "weights"
STATE_FILE: Final = "state.safetensors"
LOSS_FILE: Final = "loss.csv"

_BATCH = 4
_RATE = 2e-4
_BETAS = (0.5, 0.999)
_ABSOLUTE_WEIGHT = 100.0
_FALL_AFTER = 0.5  # of all steps at the full learning rate, then down to none along a straight line
_SECONDS_BETWEEN_SAVES = 45.0
_CURVE_EVERY = 10
_FIT_CUBES = 400


@dataclass(frozen=True)
class _Losses:
    """What one step came to: mean absolute error in the core, and the two sides of the game."""

    absolute: float
    generator: float
    discriminator: float


def train_gan(
    data: Path,
    out: Path,
    *,
    action: Action,
    split: Path | None = None,
    part: str = "train",
    steps: int | None = None,
    seed: int = 0,
    licence: str = "",
    settings: GanSettings | None = None,
    cubes: int = CUBES,
    on_error: Callable[[ScanError], None] = lambda error: None,
    report: Callable[[int, int], None] = lambda step, steps: None,
) -> Path:
    """Train a generator that puts nodules in or takes them out.

    The same command goes on where a run was killed.

    Parameters
    ----------
    data
        Folder of authentic chest CT; for injections some with marks of nodules beside their files.
    out
        Folder of the run: ``cache/``, ``state.safetensors``, ``loss.csv`` and at the end ``weights/``.
    action
        ``"inject"`` or ``"remove"``.
    split, part
        JSON file of part to globs, and the part to learn from; None for all scans.
    steps
        Optimiser steps in all; `STEPS` if None.
    seed
        Of cubes, weights and noise.
    licence
        Goes to the card.
    settings
        Of the networks.
    cubes
        How many cubes to learn from.
    on_error
        Called with what can't be read or used.
    report
        Called with the steps done and wanted, after each.

    Returns
    -------
    pathlib.Path
        The folder of weights.

    Raises
    ------
    TrainingError
        If there is nothing to learn from, or the run in ``out`` is another one.
    """
    patterns = read_split(split, part) if split is not None else None
    of = f"{action} {seed} {name_data(data, patterns)}"
    cache = read_cubes(out / "cache", of=of) or build_cubes(
        find_scans(data, "CT", patterns=patterns, on_error=on_error),
        out / "cache",
        action,
        of=of,
        seed=seed,
        count=cubes,
    )
    equalisation = fit_equalisation(cache.cubes[:_FIT_CUBES])
    trainer = _Trainer(cache, equalisation, out, settings or GanSettings(), seed, steps or STEPS)
    trainer.run(report)
    card = _card(action, trainer, licence)
    write_weights(out / WEIGHTS_FOLDER, trainer.average.model.state_dict(), card)
    return out / WEIGHTS_FOLDER


class _Trainer:
    """The state of a run, and the few things that are done to it."""

    def __init__(
        self, cache: CubeCache, equalisation: Equalisation, out: Path, settings: GanSettings, seed: int, steps: int
    ) -> None:
        self.cache, self.equalisation, self.out = cache, equalisation, out
        self.settings, self.seed, self.steps = settings, seed, steps
        torch.manual_seed(seed)
        self.generator, self.discriminator = Generator(settings), Discriminator(settings)
        self.average = Ema(self.generator, every=1, start=20)
        self.optimisers = {
            name: torch.optim.Adam(network.parameters(), lr=_RATE, betas=_BETAS)
            for name, network in (("generator", self.generator), ("discriminator", self.discriminator))
        }
        self.step, self.seconds = 0, 0.0
        self.losses = _Losses(math.nan, math.nan, math.nan)
        self.low_precision = fast_at_bf16()

    def run(self, report: Callable[[int, int], None]) -> None:
        self._load()
        last = saved = time.monotonic()
        while self.step < self.steps:
            self._learn()
            self.seconds, last = self.seconds + time.monotonic() - last, time.monotonic()
            if self.step % _CURVE_EVERY == 0:
                self._write_curve()
            if last - saved > _SECONDS_BETWEEN_SAVES:
                self._save()
                saved = time.monotonic()
            report(self.step, self.steps)
        self._save()

    def _learn(self) -> None:
        """Take one step of each network."""
        rng = np.random.default_rng((self.seed, self.step))
        real, condition, weight = self._batch(rng)
        rate = _RATE * min(1.0, (1.0 - self.step / self.steps) / (1.0 - _FALL_AFTER))
        for optimiser in self.optimisers.values():
            optimiser.param_groups[0]["lr"] = rate
        with self._precision():
            made = self.generator(condition).float()
        # What is judged is what a forgery shows: the generator's work in the core, the true surroundings about it.
        fake = real + weight * (made - real)
        discriminator = self._teach_discriminator(real, fake.detach(), condition)
        generator, absolute = self._teach_generator(real, fake, weight, condition)
        self._note(_Losses(absolute, generator, discriminator))
        self.average.update(self.generator)
        self.step += 1

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw cubes; return them in model units, what is told of them, and where the generator's output counts."""
        hu, shapes, radii = self.cache.draw(rng, _BATCH)
        cubes = torch.from_numpy(self.equalisation.equalise(hu))[:, None]
        cores = torch.from_numpy(np.stack([core(radius) for radius in radii]))[:, None]
        weight = torch.from_numpy(np.stack([blend_weight(radius) for radius in radii]))[:, None]
        noise = torch.from_numpy(rng.standard_normal((_BATCH, 1, SIDE, SIDE, SIDE), dtype=np.float32))
        return cubes, condition_of(cubes, cores, noise, torch.from_numpy(shapes)[:, None]), weight

    def _teach_discriminator(self, real: Tensor, fake: Tensor, condition: Tensor) -> float:
        with self._precision():
            on_real, on_fake = (self.discriminator(cube, condition) for cube in (real, fake))
        loss = (_distance(on_real, 1.0) + _distance(on_fake, 0.0)) / 2
        self._move("discriminator", loss)
        return loss.item()

    def _teach_generator(self, real: Tensor, fake: Tensor, weight: Tensor, condition: Tensor) -> tuple[float, float]:
        self.discriminator.requires_grad_(False)
        with self._precision():
            verdicts = self.discriminator(fake, condition)
        self.discriminator.requires_grad_(True)
        adversarial = _distance(verdicts, 1.0)
        absolute = (fake - real).abs().sum() / weight.sum()
        self._move("generator", adversarial + _ABSOLUTE_WEIGHT * absolute)
        return adversarial.item(), absolute.item()

    def _move(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        if not math.isfinite(loss.item()):
            raise TrainingError(
                f"{self.out}: the loss is no number at step {self.step}. The state of less than a minute ago is kept:"
                " start the command again, or look for scans with impossible values."
            )

    def _precision(self) -> torch.autocast:
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.low_precision)

    def _note(self, now: _Losses) -> None:
        """Smooth the losses over about 50 steps."""
        old = now if math.isnan(self.losses.absolute) else self.losses
        self.losses = _Losses(*(0.98 * a + 0.02 * b for a, b in zip(_values(old), _values(now), strict=True)))

    def _write_curve(self) -> None:
        path = self.out / LOSS_FILE
        if not path.exists():
            add_line(path, "step,absolute,generator,discriminator,seconds")
        values = [str(self.step), *(f"{value:.5f}" for value in _values(self.losses)), f"{self.seconds:.0f}"]
        add_line(path, ",".join(values))

    def _save(self) -> None:
        facts = {
            **self._run(),
            "step": str(self.step),
            "averaged": str(self.average.calls),
            "losses": json.dumps(_values(self.losses)),
            "seconds": repr(self.seconds),
        }
        save_state(self.out / STATE_FILE, self._networks(), self.optimisers, facts)

    def _load(self) -> None:
        facts = load_state(self.out / STATE_FILE, self._networks(), self.optimisers, self._run())
        if facts is None:
            return
        self.step, self.seconds = int(facts["step"]), float(facts["seconds"])
        self.losses, self.average.calls = _Losses(*json.loads(facts["losses"])), int(facts["averaged"])

    def _run(self) -> dict[str, str]:
        """Tell which run a state is of."""
        return {"settings": json.dumps(self.settings.as_dict()), "of": str(self.cache.facts["of"])}

    def _networks(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "average": self.average.model}


def _distance(verdicts: list[Tensor], wanted: float) -> Tensor:
    """Mean squared distance of verdicts from what they should be, added up over the resolutions."""
    return torch.stack([(verdict.float() - wanted).square().mean() for verdict in verdicts]).sum()


def _values(losses: _Losses) -> list[float]:
    return [losses.absolute, losses.generator, losses.discriminator]


def _card(action: Action, trainer: _Trainer, licence: str) -> dict[str, Any]:
    facts = trainer.cache.facts
    return {
        "format": 1,
        "kind": KIND,
        "action": action,
        "modality": "CT",
        "network": trainer.settings.as_dict(),
        "equalisation": trainer.equalisation.as_dict(),
        "training": {
            "seed": trainer.seed,
            "steps": trainer.step,
            "batch": _BATCH,
            "cubes": len(trainer.cache.cubes),
            "seconds": round(trainer.seconds),
            "absolute_error": round(trainer.losses.absolute, 5),
            "scans": facts["scans"],
            "nodules": facts["nodules"],
            "versions": {name: version(name) for name in ("tamperscan", "torch", "numpy")},
            "machine": platform.machine(),
        },
        "licence": licence,
    }
